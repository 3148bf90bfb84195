#pragma once

#include <memory>
#include <new>
#include <redismutex/printable.hpp>
#include <string>
#include <utility>
#include <variant>

#include "engine/conversation.hpp"
#include "engine/lease.hpp"
#include "engine/renewer_flight.hpp"
#include "engine/session.hpp"
#include "protocol/label.hpp"

namespace redismutex::engine {

/// A label on its way to the server.
class Renewer::Labelling final : public route::Background::Operation {
 public:
  Labelling(Session& session, std::shared_ptr<Landing> landing, const std::shared_ptr<Lease>& lease,
            const protocol::WriteLabel::Terms& terms)
      : server_{session.server()},
        landing_{std::move(landing)},
        lease_{lease},
        key_{lease->key()},
        machine_{key_, lease->id(), terms},
        conversation_{
            session.environment(),
            server_,
            machine_,
            {.deadline = session.patience(), .patience = session.limits().connect_timeout, .spares_absent = true}} {}

  route::Procedure& procedure() noexcept override { return conversation_; }

  void over(End end) noexcept override {
    --landing_->labels;
    const auto* refusal = std::get_if<protocol::Refusal>(&machine_.outcome());
    const bool is_written = end == End::done && !conversation_.failure() && refusal == nullptr;
    if (is_written) {
      landing_->label_trouble_told = false;
      return;
    }
    if (refusal != nullptr && !std::exchange(landing_->label_trouble_told, true)) tell_log(*refusal);
    if (const auto lease = lease_.lock()) lease->put_off_label(Instant::max());
  }

 private:
  /// A server that is away is told of elsewhere.
  void tell_log(const protocol::Refusal& refusal) const noexcept try {
    constexpr std::size_t longest = 80;
    server_.log(std::string{"the label of lock '"}
                    .append(printable(key_.text(), longest))
                    .append("' could not be written; the server said: ")
                    .append(refusal.text));
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
  }

  route::Server& server_;
  const std::shared_ptr<Landing> landing_;
  const std::weak_ptr<Lease> lease_;  // keeps none alive
  const protocol::Key key_;
  protocol::WriteLabel machine_;
  engine::Conversation conversation_;
};

}  // namespace redismutex::engine
