#include "engine/hold.hpp"

#include <redismutex/errors.hpp>
#include <utility>
#include <variant>

#include "engine/clock.hpp"
#include "engine/report.hpp"
#include "net/fork.hpp"
#include "protocol/extend.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {

Hold::Hold(std::shared_ptr<Session> session, std::unique_ptr<Lease> lease, std::optional<LocalQueues::Ticket> ticket,
           int local_handoffs)
    : session_{std::move(session)},
      state_{std::make_shared<State>()},
      ticket_{ticket},
      local_handoffs_{local_handoffs},
      expiry_{lease->expiry()},
      fork_generation_{net::fork_generation()} {
  state_->lease = std::move(lease);
  if (!state_->lease->is_claim()) return;
  // Whoever was handed the lock is inside with a short lease, and expects the full one. Should the extension that is under
  // way get lost, somebody must send another.
  const protocol::Instant here = now();
  errand_ = session_->errands().schedule(
      here + (state_->lease->valid_until() - here) / 4,
      [session = session_.get(), claimed = std::weak_ptr{state_}] { return see_to_claim(*session, claimed); });
}

Hold::~Hold() {
  if (inherited()) {
    // What it refers to belongs to the parent's threads, and may be locked for ever here.
    static_cast<void>(state_->lease.release());
    return;
  }
  if (timer_) session_->timers().cancel(*timer_);
  if (errand_) session_->errands().cancel(*errand_);
}

bool Hold::inherited() const noexcept { return fork_generation_ != net::fork_generation(); }

protocol::Instant Hold::valid_until() const {
  if (inherited()) return {};
  const std::lock_guard lock{state_->mutex};
  return state_->lease->valid_until();
}

void Hold::release() {
  if (inherited()) {
    throw MutexUnlockError{
        report::cannot(*session_, report::action("release", state_->lease->key()), "it is held by the parent process")};
  }
  std::unique_ptr<Lease> lease;
  {
    const std::lock_guard lock{state_->mutex};
    lease = std::move(state_->lease);
  }
  if (!ticket_) return lease->release();

  LocalQueues& queues = session_->local_queues();
  const protocol::Key key = lease->key();
  if (queues.has_next(key, *ticket_) && lease->may_be_passed(local_handoffs_)) {
    lease = queues.pass(key, *ticket_, std::move(lease));
    if (!lease) return;
  }
  struct Leave {
    LocalQueues& queues;
    const protocol::Key& key;
    LocalQueues::Ticket ticket;
    ~Leave() { queues.leave(key, ticket); }
  } const leave{queues, key, *ticket_};
  lease->release();
}

void Hold::extend() { extend(expiry_); }

void Hold::extend(std::chrono::milliseconds expiry) {
  const protocol::Key& key = state_->lease->key();
  const std::string action = report::action("extend", key);
  if (protocol::time_left(valid_until(), now()).count() == 0) {
    report_loss();
    throw MutexUnlockError{report::cannot(*session_, action, "its lease has ended")};
  }
  protocol::Instant old_until;
  {
    const std::lock_guard lock{state_->mutex};
    old_until = state_->lease->begin_extension(expiry);
    if (timer_) watch();  // it may end sooner now
  }
  protocol::Extend machine{key, state_->lease->id(), expiry};
  const auto failure = session_->run(machine, std::min(session_->patience(), deadline_at(old_until)));
  if (failure) report::raise(*session_, action, *failure);
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
    report::raise(*session_, action, *refused);
  }
  {
    const std::lock_guard lock{state_->mutex};
    state_->lease->conclude_extension(machine.outcome());
    if (timer_) watch();
  }
  if (const auto* extended = std::get_if<protocol::Extend::Extended>(&machine.outcome())) {
    if (ticket_) session_->local_queues().note_inside(key, *ticket_, extended->valid_until);
    return;
  }
  report_loss();
  throw MutexUnlockError{report::cannot(*session_, action, report::was_lost)};
}

std::stop_token Hold::loss() const {
  if (inherited()) {
    std::stop_source lost;
    lost.request_stop();
    return lost.get_token();
  }
  const std::lock_guard lock{state_->mutex};
  if (!state_->lost.stop_possible()) {
    state_->lost = std::stop_source{};
    watch();
  }
  return state_->lost.get_token();
}

/// With the state's lock held: tell of the loss when the lease as it is now ends.
void Hold::watch() const {
  if (timer_) session_->timers().cancel(*timer_);
  timer_ = session_->timers().schedule(state_->lease->valid_until(),
                                       [watched = std::weak_ptr{state_}] { return look_for_loss(watched); });
}

std::optional<protocol::Instant> Hold::see_to_claim(Session& session, const std::weak_ptr<State>& claimed) {
  const std::shared_ptr<State> state = claimed.lock();
  if (!state) return std::nullopt;
  std::optional<protocol::Extend> machine;
  protocol::Instant until;
  std::optional<protocol::Key> key;
  std::optional<protocol::OwnerId> id;
  {
    const std::lock_guard lock{state->mutex};
    if (!state->lease || !state->lease->is_claim()) return std::nullopt;
    until = state->lease->valid_until();
    if (until <= now()) return std::nullopt;
    machine.emplace(key.emplace(state->lease->key()), id.emplace(state->lease->id()), state->lease->expiry());
  }
  // Without the lock: this may take its time, and whoever holds the lock goes on meanwhile.
  if (session.run(*machine, deadline_at(until))) return std::nullopt;
  const std::lock_guard lock{state->mutex};
  if (state->lease && state->lease->is_claim()) state->lease->conclude_extension(machine->outcome());
  return std::nullopt;
}

std::optional<protocol::Instant> Hold::look_for_loss(const std::weak_ptr<State>& watched) {
  const std::shared_ptr<State> state = watched.lock();
  if (!state) return std::nullopt;
  std::stop_source lost{std::nostopstate};
  {
    const std::lock_guard lock{state->mutex};
    if (!state->lease) return std::nullopt;  // released
    const protocol::Instant until = state->lease->valid_until();
    if (now() < until) return until;
    lost = state->lost;
  }
  lost.request_stop();
  return std::nullopt;
}

void Hold::report_loss() const {
  std::stop_source lost{std::nostopstate};
  {
    const std::lock_guard lock{state_->mutex};
    lost = state_->lost;
  }
  lost.request_stop();
}

}  // namespace redismutex::engine
