#include "api/outcomes.hpp"

#include <redismutex/errors.hpp>
#include <variant>

#include "protocol/exchange.hpp"

namespace redismutex::api {

using engine::Extending;
using engine::GivingBack;

void raise_unless_extended(const std::string& server, const report::Action& action, const Extending::Outcome& outcome) {
  if (std::holds_alternative<Extending::Ended>(outcome)) {
    throw MutexUnlockError{report::cannot(server, action, "its lease has ended")};
  }
  if (std::holds_alternative<Extending::Gone>(outcome)) {
    throw MutexUnlockError{report::cannot(server, action, report::was_lost)};
  }
  if (const auto* refusal = std::get_if<protocol::Refusal>(&outcome)) report::raise(server, action, *refusal);
  if (const auto* unanswered = std::get_if<engine::NoAnswer>(&outcome)) {
    if (!unanswered->unknown) report::raise(server, action, unanswered->failure);
    report::raise_unknown(server, action, unanswered->failure, "valid_for() says what can be relied on");
  }
}

void raise_unless_released(const std::string& server, const report::Action& action, const GivingBack::Outcome& outcome,
                           const route::Callbacks& callbacks) {
  if (std::holds_alternative<GivingBack::Gone>(outcome) || std::holds_alternative<GivingBack::Expired>(outcome)) {
    throw MutexUnlockError{report::cannot(server, action, report::was_lost)};
  }
  const auto* unanswered = std::get_if<engine::NoAnswer>(&outcome);
  const auto* refused = std::get_if<protocol::Refusal>(&outcome);
  if (unanswered == nullptr && refused == nullptr) return;
  const std::string& why = unanswered != nullptr ? unanswered->failure.text : refused->text;
  callbacks.log_here(report::cannot(server, action, why) +
                     "; that is tried again in the background while its lease lasts");
  if (refused != nullptr) report::raise(server, action, *refused);
  if (!unanswered->unknown) report::raise(server, action, unanswered->failure);
  report::raise_unknown(server, action, unanswered->failure, "if it is not released, its lease ends by itself");
}

HoldEnded::Outcome ending_of(const GivingBack::Outcome& outcome) {
  using Outcome = HoldEnded::Outcome;
  if (std::holds_alternative<GivingBack::Gone>(outcome)) return Outcome::gone;
  if (std::holds_alternative<GivingBack::Expired>(outcome)) return Outcome::expired;
  const bool unknown =
      std::holds_alternative<engine::NoAnswer>(outcome) || std::holds_alternative<protocol::Refusal>(outcome);
  return unknown ? Outcome::unknown : Outcome::released;
}

}  // namespace redismutex::api
