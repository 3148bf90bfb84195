#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "engine/conversation.hpp"
#include "engine/extending.hpp"
#include "engine/lease.hpp"
#include "engine/session.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/label.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

/// Writes the label of a lock that is left, behind those that are under way in the background, which say that somebody has the lock. A server
/// that is away is not waited for.
class Leaving final : public route::Procedure {
 public:
  /// `session` must outlive it. `waker`: of the driver, which must outlive it; none: it can not be woken, and looks now and then.
  Leaving(Session& session, std::shared_ptr<Lease> lease, const Lease::Left& left, route::Waker* waker = nullptr)
      : session_{session},
        lease_{std::move(lease)},
        left_until_{left.until},
        waker_{waker},
        machine_{lease_->key(), lease_->id(), left.label} {}
  ~Leaving() {
    if (waker_ != nullptr) lease_->await_labels(nullptr);
  }

  Step start(protocol::Instant now) override {
    deadline_ = std::min(session_.patience(now), left_until_);
    return look(now);
  }
  Step resume(Event&& event, protocol::Instant now) override {
    return conversation_ ? conversation_->resume(std::move(event), now) : look(now);
  }

  struct Written {};
  using Outcome = std::variant<Written, protocol::Refusal, NoAnswer>;
  Outcome outcome() const {
    if (const auto& failure = conversation_->failure()) return NoAnswer{.failure = *failure, .unknown = true};
    if (const auto* refused = std::get_if<protocol::Refusal>(&machine_.outcome())) return *refused;
    return Written{};
  }

 private:
  Step look(protocol::Instant now) {
    constexpr std::chrono::milliseconds pause{5};
    if (lease_->await_labels(waker_) && now < deadline_) {
      return Sleep{.until = waker_ != nullptr ? deadline_ : std::min<protocol::Instant>(deadline_, now + pause)};
    }
    conversation_.emplace(session_.environment(), session_.router(), machine_,
                          session_.terms_sparing_absent(deadline_));
    return conversation_->start(now);
  }

  Session& session_;
  const std::shared_ptr<Lease> lease_;
  const protocol::Instant left_until_;
  route::Waker* const waker_;
  protocol::Instant deadline_{};
  protocol::WriteLabel machine_;
  std::optional<Conversation> conversation_;
};

}  // namespace redismutex::engine
