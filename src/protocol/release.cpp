#include "protocol/release.hpp"

namespace redismutex::protocol {

Release::Release(const Key& key, const OwnerId& id, Instant valid_until, Waiters waiters)
    : valid_until_{valid_until},
      waiters_{waiters},
      arguments_{"EVALSHA", scripts::release.sha1, "2", key.text(), key.queue(), id.text()} {}

Step Release::start(Instant now) {
  started_in_lease_ = now < valid_until_;
  return request();
}

Request Release::request() const {
  return {.arguments = arguments_, .script = &scripts::release, .wakes_others = waiters_ == Waiters::likely};
}

Step Release::answered(const Answer& answer) {
  if (answer.type != Answer::Type::integer) {
    outcome_ = refusal(answer, "release");
  } else if (answer.integer == 1 || (in_doubt_ && started_in_lease_)) {
    // "Not yours" after an attempt whose answer was lost: within the lease only that attempt can have removed it.
    outcome_ = Released{};
  }
  return Done{};
}

Step Release::unanswered() {
  in_doubt_ = true;
  return request();
}

Step Release::woken(Instant /*now*/) { return Done{}; }

}  // namespace redismutex::protocol
