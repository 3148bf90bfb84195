#pragma once

#include <optional>
#include <utility>
#include <variant>

#include "engine/conversation.hpp"
#include "engine/extending.hpp"
#include "engine/session.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/raise_floor.hpp"
#include "route/procedure.hpp"

namespace redismutex::engine {

/// Tells one server of a quorum the fencing token that is to be used.
class Raising final : public route::Procedure {
 public:
  Raising(Session& session, protocol::Key key, const protocol::RaiseFloor::Terms& terms)
      : key_{std::move(key)},
        machine_{key_, terms},
        conversation_{session.environment(), session.router(), machine_,
                      session.terms_sparing_absent(session.patience())} {}

  Step start(protocol::Instant now) override { return conversation_.start(now); }
  Step resume(Event&& event, protocol::Instant now) override { return conversation_.resume(std::move(event), now); }

  struct Raised {};
  using Outcome = std::variant<Raised, protocol::Refusal, NoAnswer>;
  Outcome outcome() const {
    if (const auto& failure = conversation_.failure()) return NoAnswer{.failure = *failure, .unknown = true};
    if (const auto* refused = std::get_if<protocol::Refusal>(&machine_.outcome())) return *refused;
    return Raised{};
  }

 private:
  const protocol::Key key_;
  protocol::RaiseFloor machine_;
  Conversation conversation_;
};

}  // namespace redismutex::engine
