// How a lease is passed on within the process.

#include <mutex>
#include <utility>

#include "engine/lease.hpp"
#include "engine/loss_job.hpp"
#include "engine/session.hpp"
#include "route/callbacks.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;
using protocol::never;
using std::chrono::milliseconds;

// What was learnt is good for so long.
constexpr milliseconds knowledge_lasts{1};
constexpr milliseconds count_lasts{20};

// While a lease is passed on it is asked this often whether somebody waits at the server; that also keeps it fresh.
constexpr milliseconds between_looks_at_the_line{10};

}  // namespace

/// With the lock held.
bool Lease::is_tracked() const noexcept {
  return tracked_link_ != 0 && untracked_ == 0 && tracked_doubts_ == doubts_ &&
         tracked_link_ == session_.router().server_of(key_).live_link();
}

Lease::Standing Lease::standing() const noexcept {
  const Instant now = session_.now();
  const std::lock_guard lock{mutex_};
  const bool is_ours = is_present(turn_);
  const bool heard_lately = confirmed_ + knowledge_lasts >= now && settled_doubts_ == doubts_;
  return {.until = is_ours ? validity_.until() : Instant{},
          .stands_until = stands_until_,
          .is_known = is_ours && (heard_lately || is_tracked()) && is_confirmed_here(),
          .is_counted = counted_ + count_lasts >= now,
          .waiting = waiting_,
          .counts_tokens = !token_is_ahead_,
          .has_token = token_ != 0};
}

Lease::Turn Lease::pass() noexcept {
  session_.renewer().get_ready_if_possible();
  const Instant now = session_.now();
  const std::lock_guard lock{mutex_};
  if (!is_present(turn_)) return 0;
  ++turn_;
  if (token_ != 0) ++token_;
  began_ = now;
  // Nobody has been told by it, so it serves the next turn: the Observer is to hear of losses without memory. The callbacks of the turn
  // before belong to that one's tokens.
  loss_ = std::stop_source{std::nostopstate};
  if (job_) job_->source = loss_;
  if (job_ && session_.callbacks().observer() == nullptr) job_.reset();
  const bool wants_count = counted_ + between_looks_at_the_line < now;
  const bool may_be_renewed_again = terms_.renews && extend_at_ == never;
  if (extend_at_ > now && (wants_count || may_be_renewed_again)) {
    extend_at_ = now;
    reschedule();
  }
  return turn_;
}

void Lease::set_successor(std::shared_ptr<Successor> successor) noexcept {
  const std::lock_guard lock{mutex_};
  successor_.swap(successor);
  if (successor_ == nullptr || turn_ == 0 || ended_) return;
  if (lost_) {
    session_.renewer().schedule(*this, Instant{});
  } else {
    reschedule();
  }
}

}  // namespace redismutex::engine
