#include "engine/lease.hpp"

#include <algorithm>
#include <new>
#include <redismutex/printable.hpp>
#include <system_error>
#include <utility>
#include <variant>

#include "engine/loss_job.hpp"
#include "engine/session.hpp"
#include "engine/stopped_token.hpp"
#include "protocol/lease.hpp"
#include "route/callbacks.hpp"

namespace redismutex::engine {
namespace {

using protocol::Extend;
using protocol::Instant;
using protocol::never;
using std::chrono::milliseconds;

// A lock that is given back sooner needs nobody to look after it, and its key need not be tracked.
constexpr milliseconds first_visit_after{5};

constexpr std::string_view unanswered_renewal = "no answer to the renewal before the end of the lease";
constexpr std::string_view why_renewal_is_unanswered = "the reason: no answer to the renewal";

}  // namespace

Lease::Lease(Session& session, protocol::Key key, const protocol::OwnerId& id, Terms terms)
    : session_{session},
      key_{std::move(key)},
      id_{id},
      key_text_{key_.text()},
      value_{id.text()},
      terms_{std::move(terms)},
      seat_{*this},
      confirmed_by_{&session.router().server_of(key_)} {
  const bool observed = session_.callbacks().observer() != nullptr && terms_.part == Part::whole;
  if (observed) job_ = make_loss_job();
  const bool may_move = session_.router().may_move();
  const bool is_visited = terms_.renews || !terms_.label.empty() || may_move;
  if (!observed && !is_visited) return;
  try {
    if (observed || terms_.renews) session_.callbacks().get_ready();
    session_.renewer().get_ready();
  } catch (const std::system_error&) {
    if (terms_.renews) throw;
    job_.reset();  // it is a lock all the same
  }
  if (terms_.renews || may_move) session_.renewer().admit(*this);
  if (may_move) session_.vigil().keep();
}

std::unique_ptr<LossJob> Lease::make_loss_job() const {
  return std::make_unique<LossJob>(session_.callbacks().weak_from_this().lock(), key_, terms_.name);
}

Lease::~Lease() { session_.renewer().dismiss(*this); }

// ---- for whoever is inside ------------------------------------------------------------------------------------------

Lease::Turn Lease::begin(const protocol::Acquire::Held& held, const Authority& by, Instant now,
                         Instant confirmed_until) noexcept {
  if (held.claimed) session_.renewer().get_ready_if_possible();
  const std::lock_guard lock{mutex_};
  granted_at_ = began_ = now;
  const Instant until = std::min({held.valid_until, confirmed_until, limit()});
  validity_ = {until, held.claimed};
  token_ = held.token;
  token_is_ahead_ = held.token_is_ahead;
  handed_over_ = held.claimed;
  details_size_ = std::min(held.details.size(), details_.size());
  std::copy_n(held.details.begin(), details_size_, details_.begin());
  turn_ = 1;
  note_confirmed(by);
  if (held.claimed) {
    stands_until_ = held.valid_until + protocol::drift(terms_.expiry);
  } else {
    note_sent(std::max(terms_.expiry, held.asked), now);
  }
  if (held.claimed) {
    extend_at_ = now + protocol::confirm_after(until - now);
  } else {
    // It was free, so nobody waits.
    note_answer(held.since, 0, doubts_);
  }
  if (terms_.renews) {
    extend_at_ = std::min(extend_at_, now + first_visit_after);
    watched_ = true;
    session_.renewer().attend(*this);
  }
  if (!terms_.label.empty()) label_at_ = now + first_visit_after;
  if (held.claimed || listens() || label_at_ != never) reschedule();
  return turn_;
}

Instant Lease::began() const noexcept {
  const std::lock_guard lock{mutex_};
  return began_;
}

std::uint64_t Lease::token(Turn turn) const noexcept {
  const std::lock_guard lock{mutex_};
  return turn == turn_ ? token_ : 0;
}

Instant Lease::valid_until(Turn turn) const noexcept {
  const std::lock_guard lock{mutex_};
  return is_present(turn) ? validity_.until() : Instant{};
}

Instant Lease::valid_here_until(Turn turn) noexcept {
  if (is_confirmed_here()) return valid_until(turn);
  if (!session_.renewer().get_ready_if_possible()) return {};
  const route::Server& here = session_.router().server_of(key_);
  const std::lock_guard lock{mutex_};
  // Once: after that it is asked until it is known.
  const bool is_asked = asked_link_ == here.first_link() && asked_at_ == &here;
  asked_link_ = here.first_link();
  asked_at_ = &here;
  if (is_present(turn) && !is_asked) reschedule();
  return {};
}

/// In a cluster a slot may move to a server that we have been connected to for long.
bool Lease::is_confirmed_here() const noexcept {
  const route::Router& router = session_.router();
  const route::Server& server = router.server_of(key_);
  return confirmed_by_ == &server && (router.cluster() != nullptr || confirmed_link_ >= server.first_link());
}

/// With the lock held. Another server may have the key by now, which has not said so.
void Lease::note_confirmed(const Authority& by) noexcept {
  confirmed_by_ = by.server;
  confirmed_link_ = std::max(confirmed_link_.load(), by.link);
}

/// With the lock held: a lease of `expiry`, which the server counts from now on at the latest.
void Lease::note_sent(milliseconds expiry, Instant now) noexcept {
  stands_until_ = std::max(stands_until_, now + expiry + protocol::drift(expiry));
}

bool Lease::is_claim(Turn turn) const noexcept {
  const std::lock_guard lock{mutex_};
  return is_present(turn) && validity_.is_claim();
}

// ---- extension ------------------------------------------------------------------------------------------------------

std::optional<Lease::Extension> Lease::begin_extension(Turn turn, milliseconds expiry,
                                                       protocol::Longer longer) noexcept {
  const Instant now = session_.now();
  const std::lock_guard lock{mutex_};
  if (!is_present(turn) || protocol::time_left(validity_.until(), now).count() == 0) return std::nullopt;
  // A write that does not go on with the tracking ends it.
  const Extend::Terms terms{
      .expiry = expiry, .longer = longer, .tracking = watched_ ? protocol::Tracking::on : protocol::Tracking::off};
  if (extensions_++ == 0) extension_doubts_ = doubts_;
  if (terms.tracking == protocol::Tracking::off) ++untracked_;
  extending_to_ = std::max(extending_to_, expiry);
  const Instant until = validity_.until();
  validity_.begin(terms, now);
  hurry(now);
  if (validity_.until() < until && listens()) reschedule();
  return Extension{.terms = terms, .until = until};
}

std::unique_ptr<route::Job> Lease::conclude_extension(const Extend& machine, Went how, const Authority& by,
                                                      Instant confirmed_until) noexcept {
  const Instant now = session_.now();
  const bool gone = how == Went::answered && std::holds_alternative<Extend::Gone>(machine.outcome());
  const std::lock_guard lock{mutex_};
  if (extensions_ > 0) --extensions_;
  if (extensions_ == 0) extending_to_ = {};
  if (machine.terms().tracking == protocol::Tracking::off) {
    if (untracked_ > 0) --untracked_;
    if (how != Went::never_left) {
      tracked_link_ = 0;
      if (watched_) look_at_ = now;
    }
  }
  if (turn_ == 0 || ended_ || lost_) return nullptr;
  if (how == Went::never_left) {
    validity_.take_back(machine.terms());
  } else {
    note_sent(machine.terms().expiry, now);
  }
  if (how == Went::unknown) validity_.lose_sight(machine.terms());
  if (how == Went::unconfirmed) validity_.settle(machine, now);
  if (how == Went::answered) {
    const bool ended = validity_.until() <= now;
    validity_.conclude(machine, now, confirmed_until);
    if (gone) return note_loss(ended ? Loss::expired : Loss::gone);
    if (const auto* extended = std::get_if<Extend::Extended>(&machine.outcome())) {
      note_confirmed(by);
      note_answer(extended->sent_at, extended->waiting, extension_doubts_);
      if (!terms_.renews && !validity_.is_claim()) extend_at_ = never;
      keep_label(now);
    }
  }
  hurry(now);
  if (listens() || look_at_ != never || label_at_ != never || !is_confirmed_here()) reschedule();
  return nullptr;
}

std::unique_ptr<route::Job> Lease::note_end(Turn turn) noexcept {
  const std::lock_guard lock{mutex_};
  return is_present(turn) ? note_loss(Loss::expired) : nullptr;
}

// ---- the end --------------------------------------------------------------------------------------------------------

std::optional<Lease::Ending> Lease::end(Turn turn, Instant now) noexcept {
  using Release = protocol::Release;
  std::shared_ptr<Successor> nobody;  // goes without the lock
  const std::lock_guard lock{mutex_};
  if (turn != turn_ || turn == 0 || ended_) return std::nullopt;
  ended_ = true;
  had_ended_ = validity_.until() <= now;
  // What is under way may be carried out yet.
  if (const auto most = std::max(extending_to_, renewing_to_); most.count() > 0) note_sent(most, now);
  successor_.swap(nobody);
  session_.renewer().dismiss(*this);
  const bool contended = waiting_ > 0 || session_.contended(key_);
  // The server's own command knows no line, and keeps no token.
  const bool plain = !contended && !handed_over_ && token_ == 0;
  return Ending{
      .terms = {.valid_until = validity_.until(),
                .token = token_,
                .details = {details_.data(), details_size_},
                .waiters = contended ? Release::Waiters::likely : Release::Waiters::none_known,
                .deletion = plain ? session_.router().server_of(key_).deletion() : Release::Deletion::by_script,
                .label = has_label_ ? Release::Label::may_be_there : Release::Label::none},
      .stands_until = stands_until_};
}

void Lease::raise_token(std::uint64_t token) noexcept {
  const std::lock_guard lock{mutex_};
  token_ = std::max(token_, token);
}

Lease::Found Lease::found_gone() noexcept {
  const std::lock_guard lock{mutex_};
  if (lost_) return {*lost_, nullptr};
  lost_ = had_ended_ ? Loss::expired : Loss::gone;
  note_in_job();
  return {*lost_, std::move(job_)};
}

std::stop_token Lease::lost_token(Turn turn) {
  {
    const std::lock_guard lock{mutex_};
    if (loss_.stop_possible() && turn == turn_) return loss_.get_token();
    if (!is_present(turn)) return stopped_token();
  }
  session_.callbacks().get_ready();
  auto job = make_loss_job();
  std::stop_source source;
  session_.renewer().watch(*this);
  const std::lock_guard lock{mutex_};
  if (!is_present(turn)) return stopped_token();
  if (loss_.stop_possible()) return loss_.get_token();  // another thread was faster
  loss_ = std::move(source);
  if (!job_) job_ = std::move(job);
  job_->source = loss_;
  reschedule();
  return loss_.get_token();
}

std::optional<Loss> Lease::lost() const noexcept {
  const std::lock_guard lock{mutex_};
  return lost_;
}

void Lease::lose(Loss why) noexcept {
  std::unique_ptr<LossJob> job;
  std::shared_ptr<const std::string> trouble;
  bool unanswered = false;
  {
    const Instant now = session_.now();
    const std::lock_guard lock{mutex_};
    if (turn_ == 0 || ended_ || lost_) return;
    if (validity_.until() <= now) why = Loss::expired;  // whatever became of it since
    if (why == Loss::expired) {
      trouble = std::move(trouble_);
      unanswered = terms_.renews && renewing_to_.count() > 0;
    }
    job = note_loss(why);
  }
  tell(std::move(job));
  if (unanswered) session_.renewer().tell_failure(1, unanswered_renewal);
  if (trouble || unanswered) log_trouble(trouble ? std::string_view{*trouble} : why_renewal_is_unanswered);
}

/// Without the lock.
void Lease::log_trouble(std::string_view trouble) const noexcept try {
  constexpr std::size_t longest = 80;
  session_.router().server_of(key_).log(std::string{terms_.part == Part::vote ? "its vote for lock '" : "lock '"}
                                            .append(printable(key_.text(), longest))
                                            .append("' was lost because it could not be renewed in time; ")
                                            .append(trouble));
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
}

/// With the lock held; the first time. The successor is told in the Background.
std::unique_ptr<LossJob> Lease::note_loss(Loss why) noexcept {
  lost_ = why;
  note_in_job();
  validity_.gone();
  extend_at_ = look_at_ = label_at_ = never;
  session_.renewer().dismiss(*this);
  if (successor_ != nullptr) session_.renewer().schedule(*this, Instant{});
  return std::move(job_);
}

/// With the lock held.
void Lease::note_in_job() noexcept {
  if (!job_) return;
  job_->why = *lost_;
  job_->claim = validity_.is_claim();
}

/// Without the lock.
void Lease::tell(std::unique_ptr<LossJob> job) noexcept {
  if (job) session_.callbacks().run(std::move(job));
}

void Lease::tell_successor() noexcept {
  std::shared_ptr<Successor> successor;
  Turn turn = 0;
  {
    const std::lock_guard lock{mutex_};
    if (!lost_ || ended_) return;
    successor = std::exchange(successor_, nullptr);
    turn = turn_;
  }
  if (successor != nullptr) successor->lease_is_over(*this, turn);
}

// ---- for the renewer ------------------------------------------------------------------------------------------------

void Lease::note_watched() noexcept {
  const Instant now = session_.now();
  const std::lock_guard lock{mutex_};
  if (ended_) return;
  if (lost_ && successor_ != nullptr) session_.renewer().schedule(*this, Instant{});
  if (std::exchange(watched_, true) || turn_ == 0 || lost_) return;
  look_at_ = std::max(now, granted_at_ + first_visit_after);
  reschedule();
}

}  // namespace redismutex::engine
