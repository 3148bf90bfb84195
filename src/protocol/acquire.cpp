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
      max_waiters_{std::to_string(terms.wait_until ? terms.max_waiters : 0)},
      mailbox_{terms.mailbox},
      set_{"SET", key.text(), id_, "NX", "GET", "PX", expiry_ms_},
      line_up_{"EVALSHA",
               scripts::acquire.sha1,
               "2",
               key.text(),
               key.queue(),
               id_,
               expiry_ms_,
               mailbox_,
               window_ms_,
               max_waiters_,
               terms.fencing == Fencing::with_token ? "1" : "0"},
      look_{"GET", key.text()} {}

Step Acquire::start(Instant /*now*/) {
  const bool short_way = terms_.fencing == Fencing::without_token && !(terms_.expect_queue && terms_.wait_until);
  return short_way ? set() : line_up();
}

// ---- requests -------------------------------------------------------------------------------------------------------

Step Acquire::set() {
  state_ = State::setting;
  return Request{.arguments = set_};
}

Step Acquire::line_up() {
  state_ = State::queueing;
  lined_up_ = true;
  return Request{
      .arguments = line_up_, .script = &scripts::acquire, .wants_wake_ups = mailbox_ != "-" && terms_.wait_until};
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
    case State::queueing: return answered_line_up(answer);
    default: return answered_look(answer);
  }
}

Step Acquire::answered_set(const Answer& answer) {
  if (answer.type == Answer::Type::nothing) return held(answer, 0);
  if (answer.type != Answer::Type::text) return refused(answer);
  // Our own id: an earlier attempt got through. Its lease began when it arrived, which nobody knows: start it anew.
  if (answer.text == id_) return line_up();
  met_others_ = true;
  return terms_.wait_until ? line_up() : Done{};
}

Step Acquire::answered_line_up(const Answer& answer) {
  enum { held_now, in_line, no_place };
  if (answer.type != Answer::Type::integers || answer.integers.size() < 2) return refused(answer);
  const std::int64_t state = answer.integers[0];
  if (state == held_now && answer.integers.size() == 3) {
    return held(answer, static_cast<std::uint64_t>(answer.integers[2]));
  }
  met_others_ = true;
  if (state == no_place) {
    lined_up_ = false;
    if (terms_.wait_until) outcome_ = Full{};
    return Done{};
  }
  if (state != in_line || !terms_.wait_until) return refused(answer);
  return placed(answer);
}

Step Acquire::placed(const Answer& answer) {
  const bool is_first = answer.integers.size() > 2;
  asked_at_ = answer.sent_at;
  server_time_ = microseconds{answer.integers[1]};
  next_refresh_ = answer.now + terms_.delay;
  if (!is_first || !first_) {
    first_since_ = answer.now;
    watching_ = false;
  }
  first_ = is_first;
  holder_deadline_.reset();
  if (is_first && answer.integers[2] >= 0) holder_deadline_ = answer.now + milliseconds{answer.integers[2] + 1};
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
  in_doubt_ = true;
  return state_ == State::setting ? set() : line_up();
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

Step Acquire::wake_at(std::string_view mailbox) {
  mailbox_ = mailbox;
  line_up_[7] = mailbox_;
  return line_up();
}

Step Acquire::granted(const Grant& grant, Instant now) {
  // The server read its clock for the grant that much later than for its last answer, and for that later than we read
  // ours: so the grant was made at the earliest then, and its lease ends at the earliest when we say. A hundredth is off
  // for the drift between the two clocks, and that it can not have been made after it arrived bounds the harm of a
  // server's clock that jumped.
  const microseconds later = grant.granted_at - server_time_;
  const Instant granted_at = std::min(asked_at_ + later - std::chrono::abs(later) / 100, grant.arrived);
  const Instant until = valid_until(granted_at, grant.claim);
  if (now >= until) return line_up();  // it lay unread for too long: that is no lock any more
  outcome_ = Held{.valid_until = until, .token = grant.token, .claimed = true};
  return Done{};
}

// ---- endings --------------------------------------------------------------------------------------------------------

Step Acquire::held(const Answer& answer, std::uint64_t token) {
  const Instant until = valid_until(answer.sent_at, terms_.expiry);
  if (answer.now >= until) {
    // The answer took longer than the lease: that is no lock any more.
    in_doubt_ = true;
    if (!terms_.wait_until || time_is_up(answer.now)) return Done{};
    return line_up();
  }
  outcome_ = Held{.valid_until = until, .token = token};
  return Done{};
}

Step Acquire::refused(const Answer& answer) {
  static constexpr std::array<std::string_view, 4> commands{"SET", "acquire.lua", "", "GET"};
  outcome_ = refusal(answer, commands[static_cast<std::size_t>(state_)]);
  return Done{};
}

bool Acquire::left_traces() const noexcept {
  return !std::holds_alternative<Held>(outcome_) && (in_doubt_ || lined_up_);
}

}  // namespace redismutex::protocol
