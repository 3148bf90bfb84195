#include "protocol/acquire.hpp"

#include <algorithm>

#include "protocol/lease.hpp"

namespace redismutex::protocol {
namespace {

// The last look at the key comes this much before the time limit, so that its answer is there in time.
constexpr std::chrono::milliseconds last_look{2};

}  // namespace

Acquire::Acquire(const Key& key, const OwnerId& id, Terms terms)
    : terms_{terms},
      id_{id.text()},
      expiry_ms_{std::to_string(terms.expiry.count())},
      set_{"SET", key.text(), id_, "NX", "GET", "PX", expiry_ms_},
      extend_{"EVALSHA", scripts::extend.sha1, "1", key.text(), id_, expiry_ms_} {}

Step Acquire::start(Instant /*now*/) { return attempt(); }

Step Acquire::attempt() {
  extending_ = false;
  return Request{.arguments = set_};
}

/// The lease began when the earlier attempt arrived, which nobody knows: start it anew.
Step Acquire::take_over_own() {
  extending_ = true;
  return Request{.arguments = extend_, .script = &scripts::extend};
}

Step Acquire::answered(const Answer& answer) {
  if (extending_) {
    if (answer.type != Answer::Type::integer) return refused(answer);
    return answer.integer == 1 ? held(answer.sent_at, answer.now) : attempt();
  }
  switch (answer.type) {
    case Answer::Type::nothing: return held(answer.sent_at, answer.now);
    case Answer::Type::text:
      if (answer.text == id_) return take_over_own();
      met_others_ = true;
      return wait_or_give_up(answer.now);
    default: return refused(answer);
  }
}

Step Acquire::unanswered() {
  in_doubt_ = true;
  return attempt();
}

Step Acquire::woken(Instant now) {
  if (now >= *terms_.wait_until) return Done{};
  return attempt();
}

Step Acquire::wait_or_give_up(Instant now) {
  if (!terms_.wait_until || now >= *terms_.wait_until) return Done{};
  const Instant last = *terms_.wait_until - last_look;
  return Pause{.until = now < last ? std::min(now + terms_.delay, last) : *terms_.wait_until};
}

Step Acquire::held(Instant sent_at, Instant now) {
  const Instant until = valid_until(sent_at, terms_.expiry);
  if (now >= until) {
    // The answer took longer than the lease: that is no lock any more.
    in_doubt_ = true;
    return wait_or_give_up(now);
  }
  outcome_ = Held{until};
  return Done{};
}

Step Acquire::refused(const Answer& answer) {
  outcome_ = refusal(answer, extending_ ? "extend" : "SET");
  return Done{};
}

bool Acquire::perhaps_held() const noexcept {
  return !std::holds_alternative<Held>(outcome_) && (in_doubt_ || extending_);
}

}  // namespace redismutex::protocol
