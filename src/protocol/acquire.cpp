#include "protocol/acquire.hpp"

#include <algorithm>
#include <utility>

#include "protocol/lease.hpp"
#include "protocol/number.hpp"

namespace redismutex::protocol {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// The first in line watches the key for changes by strangers; but only after this time, because usually its turn comes
// sooner, and watching costs a round trip.
constexpr milliseconds before_watching{20};

/// How long a waiter that is handed the lock has to show up, unless its place says otherwise.
constexpr milliseconds usual_claim{1000};

constexpr std::array<std::string_view, 1> time_command{"TIME"};

bool is_ahead(std::uint64_t token, microseconds server_time) {
  return token > static_cast<std::uint64_t>(server_time.count());
}

}  // namespace

// Most find the lock free: what only the others need is written when they need it.
Acquire::Acquire(const Key& key, const OwnerId& id, Terms terms)
    : terms_{terms}, key_{key}, id_{id.text()}, expiry_ms_{std::to_string(terms.expiry.count())} {}

/// As lua/line.lua reads it.
void Acquire::describe_place() {
  enum { wants_token = 1, wants_to_know_when_first = 2, own_claim = 4 };
  const bool looks_by_itself = mailbox_ == "-";
  const milliseconds claim = std::min(looks_by_itself ? liveness_window(terms_.delay) : usual_claim, terms_.expiry);
  int digit = terms_.fencing == Fencing::with_token ? wants_token : 0;
  if (!looks_by_itself && terms_.delay > claim) digit |= wants_to_know_when_first;
  if (claim != usual_claim) digit |= own_claim;
  details_ = std::to_string(digit);
  if (claim != usual_claim) details_.append(std::to_string(claim.count())).append(" ");
  details_.append(mailbox_);
}

void Acquire::change(const Terms& terms) {
  terms_.wait_until = terms.wait_until;
  next_terms_ = terms;
  if (!std::holds_alternative<Held>(outcome_)) outcome_ = Taken{};
}

/// Not before the request that was made by the old ones is over: its answer is judged by them.
void Acquire::adopt(const Terms& terms) {
  const std::string_view mailbox = terms_.mailbox;
  const microseconds ticket = terms_.ticket;
  longest_ = std::max(longest_, terms_.expiry);
  terms_ = terms;
  terms_.mailbox = mailbox;
  terms_.ticket = ticket;
  expiry_ms_ = std::to_string(terms.expiry.count());
  if (details_.empty()) return;
  std::string before = details_;
  describe_place();
  if (details_ == before) return;
  was_ = std::move(before);
}

/// An earlier change of the place comes first: the server is told of one at a time.
void Acquire::adopt_changes() {
  if (next_terms_ && was_.empty()) adopt(*std::exchange(next_terms_, std::nullopt));
}

// ---- requests -------------------------------------------------------------------------------------------------------

Step Acquire::start(Instant /*now*/) { return terms_.expect_line && terms_.wait_until ? line_up() : set(); }

Step Acquire::set() {
  state_ = State::setting;
  adopt_changes();
  set_ = {"SET", key_.text(), id_, "NX", "PX", expiry_ms_};
  if (terms_.fencing == Fencing::without_token) return Request{.arguments = set_};
  get_floor_ = {"GET", key_.floor()};
  floor_and_time_ = {get_floor_, time_command};
  return Request{.arguments = set_, .joined = floor_and_time_};
}

Step Acquire::line_up() {
  state_ = State::lining_up;
  constexpr std::size_t size = 13;
  return send_line_up(size);
}

Step Acquire::yield() {
  outcome_ = Taken{};
  yielded_ = true;
  return ask_to_yield();
}

Step Acquire::ask_to_yield() {
  state_ = State::yielding;
  return send_line_up(line_up_.size());
}

/// The last argument says that it yields: those that do not leave it out.
Step Acquire::send_line_up(std::size_t size) {
  adopt_changes();
  if (details_.empty()) {  // the first time: most never line up
    if (mailbox_.empty()) mailbox_ = terms_.mailbox;
    describe_place();
  }
  window_ms_ = std::to_string(liveness_window(terms_.delay).count());
  max_waiters_ = terms_.wait_until ? std::to_string(terms_.max_waiters) : nobody_waits;
  if (terms_.ticket.count() != 0 && ticket_.empty()) ticket_ = std::to_string(terms_.ticket.count());
  line_up_ = {
      "EVALSHA",  scripts::acquire.sha1, "3",  key_.text(), key_.line(), key_.floor(), id_, expiry_ms_, details_,
      window_ms_, max_waiters_,          was_, ticket_,     "1"};
  lined_up_ = true;
  return Request{.arguments = Arguments{line_up_}.first(size),
                 .script = &scripts::acquire,
                 .wants_wake_ups = mailbox_ != "-" && terms_.wait_until};
}

Step Acquire::look() {
  state_ = State::looking;
  watching_ = true;
  look_ = {"PTTL", key_.text()};
  return Request{.arguments = look_, .wants_invalidation = true};
}

// ---- answers --------------------------------------------------------------------------------------------------------

Step Acquire::answered(const Answer& answer) {
  switch (state_) {
    case State::setting: return answered_set(answer);
    case State::lining_up:
    case State::yielding: return answered_line_up(answer);
    default: return answered_look(answer);
  }
}

Step Acquire::answered_set(const Answer& answer) {
  if (terms_.fencing == Fencing::with_token) return answered_set_with_token(answer);
  if (answer.type == Answer::Type::text) return held(answer, 0);
  return answer.type == Answer::Type::nothing ? taken() : refused(answer);
}

/// The answers to SET, to GET for the floor, and to TIME: seconds and microseconds. Whatever else came back, the script
/// settles: it knows the id if the lock was taken, and it is refused in its turn if the server refuses.
Step Acquire::answered_set_with_token(const Answer& answer) {
  if (answer.type != Answer::Type::texts || answer.texts.size() != 4) return line_up();
  if (!answer.texts[0]) return taken();
  const auto floor = number_in<std::uint64_t>(answer.texts[1].value_or("0"));
  const auto seconds = number_in<std::uint64_t>(answer.texts[2].value_or(""));
  const auto microseconds = number_in<std::uint64_t>(answer.texts[3].value_or(""));
  if (!floor || !seconds || !microseconds) return line_up();
  const std::uint64_t token = *seconds * 1'000'000 + *microseconds;
  // A clock that was set back, or a floor that is none of ours: what is minted then has to be stored.
  if (*floor >= token) return line_up();
  return held(answer, token);
}

Step Acquire::taken() {
  met_others_ = true;
  return terms_.wait_until ? line_up() : Done{};
}

Step Acquire::answered_line_up(const Answer& answer) {
  enum { held_now, in_line, no_place, ask_again };
  if (answer.type != Answer::Type::integers || answer.integers.size() < 2) return refused(answer);
  const std::int64_t state = answer.integers[0];
  if (state == held_now && answer.integers.size() == 3) {
    const Step step = held(answer, static_cast<std::uint64_t>(answer.integers[2]));
    if (auto* taken = std::get_if<Held>(&outcome_)) {
      taken->token_is_ahead = is_ahead(taken->token, microseconds{answer.integers[1]});
    }
    return step;
  }
  met_others_ = true;
  if (state == ask_again) {
    if (time_is_up(answer.now)) return Done{};
    return state_ == State::yielding ? ask_to_yield() : line_up();
  }
  was_.clear();
  if (state == no_place) {
    lined_up_ = false;
    if (terms_.wait_until) outcome_ = Full{};
    return Done{};
  }
  if (state != in_line || !terms_.wait_until) return refused(answer);
  return placed(answer);
}

Step Acquire::placed(const Answer& answer) {
  put_offs_ = 0;
  const bool is_first = answer.integers.size() > 2;
  asked_at_ = answer.sent_at;
  server_time_ = microseconds{answer.integers[1]};
  next_refresh_ = answer.now + terms_.delay;
  if (std::exchange(yielded_, false)) placed_anew_at_ = answer.now;
  if (!is_first || !first_) {
    first_since_ = answer.now;
    watching_ = false;
  }
  first_ = is_first;
  note_holders_lease(is_first ? answer.integers[2] : -1, answer.now);
  return wait(answer.now);
}

/// What PTTL told: -1 for a key that never expires.
void Acquire::note_holders_lease(std::int64_t ms, Instant now) {
  holder_deadline_.reset();
  if (ms >= 0) holder_deadline_ = now + std::min(milliseconds{ms}, longest_duration) + milliseconds{1};
}

Step Acquire::answered_look(const Answer& answer) {
  constexpr std::int64_t no_key = -2;
  if (answer.type != Answer::Type::integer) return refused(answer);
  if (answer.integer == no_key) return line_up();
  note_holders_lease(answer.integer, answer.now);
  return wait(answer.now);
}

/// The script needs keys of which some have moved and some have not; to take the key alone works all the same. That is tried now and then,
/// at times that differ from one waiter to the next.
std::optional<Step> Acquire::split(Instant now) {
  constexpr milliseconds first_pause{10}, longest_pause{100};
  if (!terms_.wait_until) return std::nullopt;
  if (time_is_up(now)) return Done{};
  constexpr unsigned most_doublings = 4;
  const milliseconds pause = std::min(first_pause * (1U << std::min(put_offs_++, most_doublings)), longest_pause);
  state_ = State::put_off;
  watching_ = false;
  const auto share = static_cast<unsigned char>(id_.back()) % 16U;  // of random digits
  return Pause{.until = std::min(*terms_.wait_until, now + pause / 2 + pause * share / 32)};
}

Step Acquire::unanswered() {
  watching_ = false;
  in_doubt_ = true;
  return line_up();
}

// ---- waiting --------------------------------------------------------------------------------------------------------

bool Acquire::time_is_up(Instant now) const { return terms_.wait_until && now >= *terms_.wait_until; }

Step Acquire::wait(Instant now) {
  state_ = State::waiting;
  if (time_is_up(now)) return Done{};
  Instant until = *terms_.wait_until;
  if (holder_deadline_) until = std::min(until, *holder_deadline_);
  if (first_ && !watching_) until = std::min(until, first_since_ + before_watching);
  return Pause{.until = std::min(until, next_refresh_), .at_latest = until};
}

Step Acquire::woken(Instant now) {
  if (time_is_up(now)) return Done{};
  if (state_ == State::put_off) return set();
  const bool due = now >= next_refresh_ || (holder_deadline_ && now >= *holder_deadline_);
  if (!due && first_ && !watching_ && now >= first_since_ + before_watching) return look();
  // Woken before the time: the key was changed, which the server reports once, or the connection was lost.
  if (!due) watching_ = false;
  return line_up();
}

Step Acquire::refreshed(Refreshed refreshed, Instant now) {
  const bool is_as_known = refreshed == Refreshed::renewed || (refreshed == Refreshed::first && first_);
  if (!is_as_known) return time_is_up(now) ? Step{Done{}} : line_up();
  next_refresh_ = now + terms_.delay;
  return wait(now);
}

Step Acquire::told_first(milliseconds claim, Instant now) {
  first_ = true;
  first_since_ = now;
  watching_ = false;
  note_holders_lease(claim.count(), now);
  return wait(now);
}

Step Acquire::wake_at(std::string_view mailbox) {
  was_ = details_;
  mailbox_ = mailbox;
  watching_ = false;  // another mailbox is that of another link
  describe_place();
  return line_up();
}

Step Acquire::granted(const Grant& grant, Instant now) {
  // Without an answer nothing tells how long ago that was: the connection broke before one came.
  if (server_time_.count() == 0) return time_is_up(now) ? Step{Done{}} : line_up();
  // The server has told since that we wait. What we were granted before we yielded is over, whatever became of the server's clock.
  const bool is_over = yielded_ || grant.granted_at < server_time_ || grant.arrived <= placed_anew_at_;
  if (is_over) return time_is_up(now) ? Step{Done{}} : line_up();
  // The server read its clock for the grant that much later than for its last answer, and for that later than we read
  // ours: so the grant was made at the earliest then, and its lease ends at the earliest when we say. A hundredth is off
  // for the drift between the two clocks, and that it can not have been made after it arrived bounds the harm of a
  // server's clock that jumped.
  const microseconds later = grant.granted_at - server_time_;
  const Instant told = asked_at_ + later;
  const Instant granted_at = std::min(told - std::chrono::abs(later) / 100, grant.arrived);
  const Instant until = valid_until(granted_at, grant.claim);
  if (now >= until) {  // it lay unread for too long: that is no lock any more
    ++claims_lost_;
    return line_up();
  }
  if (lacks_token(grant.token)) return line_up();
  outcome_ = Held{.valid_until = until,
                  .token = grant.token,
                  .claimed = true,
                  .token_is_ahead = is_ahead(grant.token, grant.granted_at),
                  .details = details_,
                  .since = granted_at,
                  .handed_at = std::min(told, grant.arrived)};
  return Done{};
}

/// The lock was handed over while we asked, and the answer tells of it, too: by a clock that may have been set back in between, and the
/// token with it. The higher one is ours, and was nobody else's.
void Acquire::note_grant(const Grant& grant) {
  auto* const held = std::get_if<Held>(&outcome_);
  if (held == nullptr || held->token == 0 || grant.token <= held->token) return;
  held->token = grant.token;
  held->token_is_ahead = true;
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
  if (lacks_token(token) || is_too_short()) {
    // The owner has no place any more that could be described.
    was_.clear();
    return line_up();
  }
  outcome_ =
      Held{.valid_until = until, .token = token, .asked = std::max(longest_, terms_.expiry), .since = answer.sent_at};
  return Done{};
}

/// It came for a place, or by a request, that wanted none; and now one is wanted. The script makes one for the owner.
bool Acquire::lacks_token(std::uint64_t token) const {
  const Terms& terms = next_terms_ ? *next_terms_ : terms_;
  return token == 0 && terms.fencing == Fencing::with_token;
}

/// The same of the lease, which the script makes longer. One that is handed over is short for everybody, and made longer by its owner.
bool Acquire::is_too_short() const { return next_terms_ && next_terms_->needs > terms_.expiry; }

Step Acquire::refused(const Answer& answer) {
  static constexpr std::array<std::string_view, 6> commands{"SET", "acquire.lua", "", "PTTL", "", "acquire.lua"};
  outcome_ = refusal(answer, commands[static_cast<std::size_t>(state_)]);
  return Done{};
}

bool Acquire::left_traces() const noexcept {
  return !std::holds_alternative<Held>(outcome_) && (in_doubt_ || lined_up_);
}

}  // namespace redismutex::protocol
