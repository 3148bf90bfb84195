#include "protocol/extend.hpp"

#include "protocol/lease.hpp"

namespace redismutex::protocol {

Extend::Extend(const Key& key, const OwnerId& id, std::chrono::milliseconds expiry)
    : expiry_{expiry},
      expiry_ms_{std::to_string(expiry.count())},
      arguments_{"EVALSHA", scripts::extend.sha1, "2", key.text(), key.queue(), id.text(), expiry_ms_} {}

Step Extend::start(Instant /*now*/) { return Request{.arguments = arguments_, .script = &scripts::extend}; }

Step Extend::answered(const Answer& answer) {
  if (answer.type != Answer::Type::integer) {
    outcome_ = refusal(answer, "extend");
  } else if (answer.integer > 0) {
    outcome_ = Extended{.valid_until = valid_until(answer.sent_at, expiry_), .waiting = answer.integer - 1};
  }
  return Done{};
}

Step Extend::unanswered() { return Request{.arguments = arguments_, .script = &scripts::extend}; }

Step Extend::woken(Instant /*now*/) { return Done{}; }

}  // namespace redismutex::protocol
