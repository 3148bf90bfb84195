#include "protocol/acquire.hpp"

#include <algorithm>

#include "protocol/lease.hpp"

namespace redismutex::protocol {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// The first in line watches the key for changes by strangers; but only after this time, because usually its turn comes
// sooner, and watching costs a round trip.
constexpr milliseconds before_watching{20};

/// For how long the server takes a waiter for alive without hearing of it: three looks may be lost or late.
milliseconds liveness_window(milliseconds delay) { return 3 * delay + milliseconds{1000}; }

}  // namespace

Acquire::Acquire(const Key& key, const OwnerId& id, Terms terms)
    : terms_{terms},
      id_{id.text()},
      expiry_ms_{std::to_string(terms.expiry.count())},
      window_ms_{std::to_string(liveness_window(terms.delay).count())},
      max_waiters_{std::to_string(terms.max_waiters)},
      set_{"SET", key.text(), id_, "NX", "GET", "PX", expiry_ms_},
      extend_{"EVALSHA", scripts::extend.sha1, "2", key.text(), key.queue(), id_, expiry_ms_},
      line_up_{"EVALSHA",  scripts::acquire.sha1, "2",        key.text(),  key.queue(), id_,
               expiry_ms_, terms_.mailbox,        window_ms_, max_waiters_},
      look_{"GET", key.text()} {}

Step Acquire::start(Instant /*now*/) { return terms_.expect_queue && terms_.wait_until ? line_up() : set(); }

// ---- requests -------------------------------------------------------------------------------------------------------

Step Acquire::set() {
  state_ = State::setting;
  return Request{.arguments = set_};
}

/// Our id was found at the key: the lease began when the earlier attempt arrived, which nobody knows. Start it anew.
Step Acquire::extend_own() {
  state_ = State::extending;
  return Request{.arguments = extend_, .script = &scripts::extend};
}

Step Acquire::line_up() {
  state_ = State::queueing;
  lined_up_ = true;
  return Request{.arguments = line_up_, .script = &scripts::acquire, .wants_wake_ups = terms_.mailbox != "-"};
}

Step Acquire::look() {
  state_ = State::looking;
  watching_ = true;
  return Request{.arguments = look_, .wants_invalidation = true};
}

// ---- answers --------------------------------------------------------------------------------------------------------

Step Acquire::answered(const Answer& answer) {
  switch (state_) {
    case State::setting: return answered_set(answer);
    case State::extending: return answered_extend(answer);
    case State::queueing: return answered_line_up(answer);
    default: return answered_look(answer);
  }
}

Step Acquire::answered_set(const Answer& answer) {
  if (answer.type == Answer::Type::nothing) return held(answer.sent_at, answer.now);
  if (answer.type != Answer::Type::text) return refused(answer);
  if (answer.text == id_) return extend_own();
  met_others_ = true;
  return terms_.wait_until ? line_up() : Done{};
}

Step Acquire::answered_extend(const Answer& answer) {
  if (answer.type != Answer::Type::integer) return refused(answer);
  return answer.integer > 0 ? held(answer.sent_at, answer.now) : set();
}

Step Acquire::answered_line_up(const Answer& answer) {
  if (answer.type != Answer::Type::integers) return refused(answer);
  const auto [state, server_time, pttl, waiting, first, unused1, unused2, unused3] = answer.integers;
  if (state == 0) return held(answer.sent_at, answer.now);
  met_others_ = true;
  if (state == 2) {
    lined_up_ = false;
    outcome_ = Full{};
    return Done{};
  }
  asked_at_ = answer.sent_at;
  server_time_ = microseconds{server_time};
  next_refresh_ = answer.now + terms_.delay;
  if (first != 1 || !first_) {
    first_since_ = answer.now;
    watching_ = false;
  }
  first_ = first == 1;
  holder_deadline_.reset();
  if (first_ && pttl >= 0) holder_deadline_ = answer.now + milliseconds{pttl + 1};
  return wait(answer.now);
}

Step Acquire::answered_look(const Answer& answer) {
  if (answer.type == Answer::Type::error) return refused(answer);
  // Free, or already ours: both are settled by asking in the queue's terms.
  if (answer.type != Answer::Type::text || answer.text == id_) return line_up();
  return wait(answer.now);
}

Step Acquire::unanswered() {
  watching_ = false;
  if (state_ == State::setting || state_ == State::extending) {
    in_doubt_ = true;
    return set();
  }
  return line_up();
}

// ---- waiting --------------------------------------------------------------------------------------------------------

bool Acquire::time_is_up(Instant now) const { return now >= *terms_.wait_until; }

Step Acquire::wait(Instant now) {
  state_ = State::waiting;
  if (time_is_up(now)) return Done{};
  Instant until = std::min(*terms_.wait_until, next_refresh_);
  if (holder_deadline_) until = std::min(until, *holder_deadline_);
  if (first_ && !watching_) until = std::min(until, first_since_ + before_watching);
  return Pause{until};
}

Step Acquire::woken(Instant now) {
  if (time_is_up(now)) return Done{};
  const bool due = now >= next_refresh_ || (holder_deadline_ && now >= *holder_deadline_);
  if (!due && first_ && !watching_ && now >= first_since_ + before_watching) return look();
  // Woken before the time: the key was changed, which the server reports once, or the connection was lost.
  if (!due) watching_ = false;
  return line_up();
}

Step Acquire::without_mailbox() {
  terms_.mailbox = "-";
  line_up_[7] = terms_.mailbox;
  return line_up();
}

Step Acquire::granted(const Grant& grant, Instant now) {
  // The server read its clock for the grant that much later than for its last answer, and for that later than we read
  // ours: so the grant was made at the earliest then, and its lease ends at the earliest when we say. (That it can not
  // have been made after it arrived bounds the harm of a server clock that jumped.)
  const Instant granted_at = std::min(asked_at_ + (grant.granted_at - server_time_), grant.arrived);
  const Instant until = valid_until(granted_at, grant.claim);
  if (now >= until) return line_up();  // it lay unread for too long: that is no lock any more
  outcome_ = Held{.valid_until = until, .claimed = true};
  return Done{};
}

// ---- endings --------------------------------------------------------------------------------------------------------

Step Acquire::held(Instant sent_at, Instant now) {
  const Instant until = valid_until(sent_at, terms_.expiry);
  if (now >= until) {
    // The answer took longer than the lease: that is no lock any more.
    in_doubt_ = true;
    if (!terms_.wait_until || time_is_up(now)) return Done{};
    return line_up();
  }
  outcome_ = Held{.valid_until = until};
  return Done{};
}

Step Acquire::refused(const Answer& answer) {
  static constexpr std::array<std::string_view, 5> commands{"SET", "extend.lua", "acquire.lua", "", "GET"};
  outcome_ = refusal(answer, commands[static_cast<std::size_t>(state_)]);
  return Done{};
}

bool Acquire::left_traces() const noexcept {
  return !std::holds_alternative<Held>(outcome_) && (in_doubt_ || lined_up_ || state_ == State::extending);
}

}  // namespace redismutex::protocol
