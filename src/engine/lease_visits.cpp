// What a lease wants of the renewer.

#include <algorithm>
#include <mutex>
#include <utility>
#include <variant>

#include "engine/lease.hpp"
#include "engine/session.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {
namespace {

using protocol::Extend;
using protocol::ExtendMany;
using protocol::Instant;
using protocol::never;
using std::chrono::milliseconds;

// Until the owner's own extension has come to an end, or another look for one who tells of changes.
constexpr milliseconds little_while{50};
constexpr milliseconds before_next_try_to_track{500};

// Between visits that fail, when the lease is about to end.
constexpr milliseconds shortest_pause{20};

/// How much too early a visit may be, to go along with others.
constexpr std::chrono::nanoseconds renewal_slack(milliseconds renew_to) {
  return std::chrono::nanoseconds{renew_to} / 30;
}

std::chrono::nanoseconds times(std::chrono::nanoseconds duration, double factor) {
  return std::chrono::nanoseconds{
      static_cast<std::chrono::nanoseconds::rep>(static_cast<double>(duration.count()) * factor)};
}

}  // namespace

/// With the lock held: when it must be renewed no more.
Instant Lease::limit() const noexcept {
  return terms_.max_hold.count() > 0 ? std::min(began_ + terms_.max_hold, terms_.latest_end) : never;
}

/// With the lock held: when there is something to ask the server.
Instant Lease::work_due() const noexcept {
  const bool doubtful = (watched_ && settled_doubts_ != doubts_) || !is_confirmed_here();
  const Instant due = doubtful ? Instant{} : std::min(extend_at_, look_at_);
  return due == never ? never : std::max(due, not_before_);
}

/// With the lock held.
void Lease::reschedule() noexcept {
  if (turn_ == 0 || ended_ || lost_) return;
  const Instant work = std::min(work_due(), label_at_);
  const Instant end = listens() ? validity_.until() : never;
  const bool is_renewal = terms_.renews && work == extend_at_;
  if (work < end) {
    session_.renewer().schedule(*this, work, is_renewal ? renewal_slack(terms_.expiry) : std::chrono::nanoseconds{0});
  } else if (end != never) {
    session_.renewer().schedule(*this, end);
  }
}

Instant Lease::confirmed() const noexcept {
  const std::lock_guard lock{mutex_};
  return confirmed_;
}

void Lease::look_soon() noexcept {
  if (!session_.renewer().get_ready_if_possible()) return;
  const Instant now = session_.now();
  const std::lock_guard lock{mutex_};
  look_at_ = now;
  reschedule();
}

/// With the lock held: whether an extension would not cross the owner's own wishes.
bool Lease::may_extend(Instant now) noexcept {
  if (terms_.renews || !validity_.is_claim() || !validity_.may_shorten()) return true;
  extend_at_ = now + little_while;
  return false;
}

Lease::Visit Lease::plan(Instant now) noexcept {
  using What = Visit::What;
  const std::lock_guard lock{mutex_};
  if (lost_ && successor_ != nullptr) return {.what = What::lose};
  if (turn_ == 0 || ended_ || lost_) return {};
  const Instant until = validity_.until();
  if (until <= now) {
    extend_at_ = look_at_ = never;
    return {.what = listens() ? What::lose : What::nothing};
  }
  Visit visit{.until = until, .doubts = doubts_};
  const auto early = terms_.renews ? renewal_slack(terms_.expiry) : std::chrono::nanoseconds{0};
  const bool is_due = work_due() <= now + early && not_before_ <= now;
  // A server that has taken the place of another counts by a clock of its own: so it is asked for what is left, too.
  const bool moves = !is_confirmed_here();
  // A claim is none any more once it was extended: it becomes the full lease then, or never.
  const bool prolongs = terms_.renews || extend_at_ <= now || validity_.is_claim();
  const bool extends = is_due && (prolongs || moves) && may_extend(now);
  if (extends) {
    const Instant wanted = prolongs ? std::min(now + terms_.expiry, terms_.renews ? limit() : never) : until;
    // What is left may not be worth a command: then it is only looked at.
    if (wanted > until || moves) visit.renew_to = std::chrono::ceil<milliseconds>(std::max(wanted, until) - now);
    visit.renews = terms_.renews && visit.renew_to.count() > 0;
  }
  if (visit.renew_to.count() > 0) {
    visit.what = What::extend;
    renewing_to_ = visit.renew_to;
  } else if (is_due) {
    visit.what = What::look;
  }
  // Until there is an answer only the end is waited for.
  if (visit.what == What::nothing) {
    reschedule();
  } else if (listens()) {
    session_.renewer().schedule(*this, until);
  }
  return visit;
}

/// With the lock held.
void Lease::note_answer(Instant sent_at, std::int64_t waiting, std::uint64_t doubts) noexcept {
  confirmed_ = std::max(confirmed_, sent_at);
  settled_doubts_ = std::max(settled_doubts_, doubts);
  if (sent_at < counted_) return;
  counted_ = sent_at;
  waiting_ = waiting;
}

/// With the lock held: whether that would gain anything.
bool Lease::may_be_renewed() const noexcept {
  constexpr milliseconds rounding{1};
  return terms_.renews && limit() > validity_.until() + protocol::drift(terms_.expiry) + rounding;
}

/// With the lock held, when it was not started anew in full: when so much of it is left that it is, as far as it may be renewed still. That
/// is so after an extension by its holder, and in a turn that began meanwhile.
Instant Lease::next_renewal(double share, Instant now) const noexcept {
  if (!may_be_renewed()) return never;
  return std::max(now, validity_.until() - times(terms_.expiry, 1 - share));
}

/// With the lock held: what an extension by the holder has left, or may have, can be over before the renewal that was planned. It comes
/// while half of what is left is there, or half of the usual lease. Where none was planned any more, because the limit was reached, there
/// may be one to come now.
void Lease::hurry(Instant now) noexcept {
  if (!terms_.renews || (extend_at_ == never && !may_be_renewed())) return;
  const Instant until = validity_.until();
  extend_at_ = std::min(extend_at_, std::max<Instant>(now + (until - now) / 2, until - terms_.expiry / 2));
}

Instant Lease::conclude_visit(const Visit& visit, const ExtendMany::Fate& fate, const Circumstances& how,
                              Instant now) noexcept {
  const std::lock_guard lock{mutex_};
  if (turn_ == 0 || ended_ || lost_) return {};
  renewing_to_ = {};
  not_before_ = {};
  trouble_.reset();
  const auto* const extended = std::get_if<Extend::Extended>(&fate);
  const auto* const looked = std::get_if<ExtendMany::Looked>(&fate);
  const Instant sent_at = extended ? extended->sent_at : looked ? looked->sent_at : now;
  // One that is wanted since then is still to come.
  if (look_at_ <= sent_at || look_at_ > now) look_at_ = never;
  if (extended && validity_.until() <= now) {
    // The answer was read too late: what is over stays so.
    note_sent(visit.renew_to, now);
    extend_at_ = never;
  } else if (extended) {
    validity_.renewed(visit.renew_to, extended->sent_at, visit.confirmed_until);
    note_sent(visit.renew_to, now);
    note_confirmed(how.by);
    keep_label(now);
    note_answer(extended->sent_at, extended->waiting, visit.doubts);
    const Instant next = std::max(now, extended->sent_at + times(visit.renew_to, how.share));
    const bool is_full = visit.renew_to >= terms_.expiry;
    extend_at_ = terms_.renews && is_full ? next : next_renewal(how.share, now);
  } else if (looked) {
    note_answer(looked->sent_at, looked->waiting, visit.doubts);
    if (!is_confirmed_here()) not_before_ = now + little_while;
    if (extend_at_ <= now) extend_at_ = next_renewal(how.share, now);  // there was nothing to gain
  }
  hurry(now);
  if (how.tracks) {
    tracked_link_ = how.by.link;
    tracked_doubts_ = visit.doubts;
  } else if (watched_ && how.may_track) {
    look_at_ = std::min(look_at_, now + before_next_try_to_track);
  }
  reschedule();
  return validity_.until();
}

void Lease::put_off(Instant next, const std::shared_ptr<const std::string>& trouble, Instant now) noexcept {
  const std::lock_guard lock{mutex_};
  if (turn_ == 0 || ended_ || lost_) return;
  if (renewing_to_.count() > 0) note_sent(std::exchange(renewing_to_, {}), now);
  // In good time for one more.
  const Instant soon = now + std::max<Instant::duration>((validity_.until() - now) / 2, shortest_pause);
  not_before_ = std::min(next, soon);
  trouble_ = trouble;
  reschedule();
}

// ---- the label ------------------------------------------------------------------------------------------------------

/// With the lock held. The server counts a little more of the lease than we do, and much more of one that was confirmed late.
bool Lease::outlasts_label(Instant now) const noexcept {
  const Instant::duration left = validity_.until() - now;
  return std::max<Instant>(now + left + left / 4, stands_until_) > label_until_;
}

/// With the lock held: it is not to go before the lease.
void Lease::keep_label(Instant now) noexcept {
  if (terms_.label.empty() || label_at_ != never) return;
  if (outlasts_label(now)) label_at_ = now;
}

std::optional<protocol::WriteLabel::Terms> Lease::plan_label(Instant now) noexcept {
  if (terms_.label.empty()) return std::nullopt;
  const std::lock_guard lock{mutex_};
  const auto early = terms_.renews ? renewal_slack(terms_.expiry) : std::chrono::nanoseconds{0};
  if (turn_ == 0 || ended_ || lost_ || label_at_ > now + early) return std::nullopt;
  const auto terms = label_terms(now);
  if (terms) ++labels_under_way_;
  return terms;
}

/// With the lock held.
std::optional<protocol::WriteLabel::Terms> Lease::label_terms(Instant now) noexcept {
  label_at_ = never;
  const milliseconds left = protocol::time_left(validity_.until(), now);
  if (left.count() == 0) return std::nullopt;
  // So it need not be written with each renewal.
  const auto stands = std::chrono::ceil<milliseconds>(stands_until_ - now);
  const milliseconds lasts = std::max(2 * std::max(left, terms_.expiry), stands);
  label_until_ = now + lasts;
  has_label_ = true;
  const auto held_for = std::chrono::floor<milliseconds>(now - granted_at_);
  return protocol::WriteLabel::Terms{.since = session_.environment().wall_clock() - held_for,
                                     .expiry = std::max(left, terms_.expiry),
                                     .token = token_,
                                     .text = terms_.label,
                                     .lasts = lasts};
}

void Lease::note_label_over() noexcept {
  const std::lock_guard lock{mutex_};
  if (--labels_under_way_ == 0 && labels_waker_ != nullptr) labels_waker_->wake();
}

bool Lease::await_labels(route::Waker* waker) noexcept {
  const std::lock_guard lock{mutex_};
  labels_waker_ = waker;
  return labels_under_way_ > 0;
}

void Lease::put_off_label(Instant next) noexcept {
  const std::lock_guard lock{mutex_};
  if (turn_ == 0 || ended_ || lost_) return;
  label_at_ = next;
  label_until_ = Instant::min();
  reschedule();
}

std::optional<Lease::Left> Lease::leave(Turn turn) noexcept {
  const Instant now = session_.now();
  std::optional<Left> left;
  {
    const std::lock_guard lock{mutex_};
    if (is_present(turn) && !terms_.label.empty()) {
      if (auto label = label_terms(now)) {
        label->left = true;
        left = Left{*label, validity_.until()};
      }
    }
  }
  end(turn, now);
  return left;
}

}  // namespace redismutex::engine
