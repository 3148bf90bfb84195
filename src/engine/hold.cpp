#include "engine/hold.hpp"

#include <algorithm>
#include <new>
#include <redismutex/errors.hpp>
#include <redismutex/observer.hpp>
#include <system_error>
#include <utility>
#include <variant>

#include "engine/clock.hpp"
#include "engine/report.hpp"
#include "net/fork.hpp"
#include "protocol/extend.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {

Hold::Hold(std::shared_ptr<Session> session, std::unique_ptr<Lease>&& lease, std::optional<LocalQueues::Ticket> ticket,
           const Options& options)
    : session_{std::move(session)},
      value_{lease->id().text()},
      tenure_{std::make_shared<Tenure>(*session_, std::move(lease), std::move(ticket))},
      local_handoffs_{options.local_handoffs},
      expiry_{*options.expiry},
      fork_generation_{net::fork_generation()} {
  try {
    begin(options);
  } catch (...) {
    lease = tenure_->end();
    throw;
  }
}

void Hold::begin(const Options& options) {
  if (tenure_->ticket()) LocalQueues::note_inside(*tenure_->ticket(), tenure_);
  if (options.auto_renew) {
    tenure_->look_after({.renew_to = expiry_,
                         .no_longer_than = options.max_hold.count() > 0 ? tenure_->began() + options.max_hold
                                                                        : protocol::Instant::max()});
  } else if (tenure_->is_claim()) {
    try {
      see_to_claim();
    } catch (const std::system_error&) {  // no thread that would do it later
      tenure_->confirm();
    }
  }
}

/// Whoever was handed the lock is inside with a short lease, and expects the full one. It is sent for when the lock is held for
/// longer than most are, and not by the one who is inside: that one starts at once. Should the answer get lost, an errand asks
/// again.
void Hold::see_to_claim() {
  const protocol::Instant here = now();
  const auto left = tenure_->valid_until() - here;
  const protocol::Instant again_at = here + left / 2;
  confirmation_ = session_->posts().schedule(
      here + protocol::confirm_after(left),
      [session = session_.get(), claimed = std::weak_ptr{tenure_}, expiry = expiry_, again_at,
       sent = false]() mutable -> std::optional<protocol::Instant> {
        const std::shared_ptr<Tenure> tenure = claimed.lock();
        if (!tenure || !tenure->is_claim()) return std::nullopt;
        if (!std::exchange(sent, true)) {
          tenure->confirm();
          return std::max(again_at, now());
        }
        session->errands().schedule(now(),
                                    [session, claimed, expiry] { return extend_claim(*session, claimed, expiry); });
        return std::nullopt;
      });
}

/// This may take its time, and whoever holds the lock goes on meanwhile.
std::optional<protocol::Instant> Hold::extend_claim(Session& session, const std::weak_ptr<Tenure>& claimed,
                                                    std::chrono::milliseconds expiry) {
  constexpr std::chrono::milliseconds between_tries{50};
  const std::shared_ptr<Tenure> tenure = claimed.lock();
  if (!tenure || !tenure->is_claim()) return std::nullopt;
  const protocol::Instant until = tenure->valid_until();
  if (until <= now()) return std::nullopt;
  // The key may be watched by the time that this arrives, and must be so afterwards.
  protocol::Extend machine{tenure->key(), tenure->id(), {.expiry = expiry, .tracking = protocol::Tracking::on}};
  if (session.run(machine, deadline_at(until))) return std::nullopt;
  if (tenure->is_claim()) tenure->conclude_extension(machine);
  return now() + between_tries;  // if the server refused
}

Hold::~Hold() {
  if (inherited()) {
    // What it refers to belongs to the parent's threads, and may be locked for ever here.
    tenure_->abandon();
    return;
  }
  if (confirmation_) session_->posts().cancel(*confirmation_);
  tenure_->end();
}

bool Hold::inherited() const noexcept { return fork_generation_ != net::fork_generation(); }

std::optional<std::uint64_t> Hold::fencing_token() const noexcept {
  return tenure_->token() != 0 ? std::optional{tenure_->token()} : std::nullopt;
}

protocol::Instant Hold::valid_until() const { return inherited() ? protocol::Instant{} : tenure_->valid_until(); }

protocol::Instant Hold::confirmed_until() noexcept {
  try {
    if (!inherited() && tenure_->is_claim() && !asked_.exchange(true)) extend_claim(*session_, tenure_, expiry_);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): then it has the short one
  }
  return valid_until();
}

// ---- the end --------------------------------------------------------------------------------------------------------

void Hold::release() {
  if (inherited()) {
    throw MutexUnlockError{
        report::cannot(*session_, report::Action{"release", tenure_->key()}, "it is held by the parent process")};
  }
  const auto held_for = now() - tenure_->began();
  try {
    give_back(tenure_->end());
  } catch (const MutexUnlockError&) {
    tenure_->was_gone();
    throw;
  }
  if (Observer* observer = session_->observer()) observer->released(key(), held_for);
}

void Hold::release_or_log() {
  const bool had_ended = protocol::time_left(valid_until(), now()).count() == 0;
  try {
    release();
  } catch (const MutexUnlockError&) {
    throw;
  } catch (const std::exception& error) {
    if (had_ended) {
      throw MutexUnlockError{report::cannot(*session_, report::Action{"release", tenure_->key()}, report::was_lost)};
    }
    session_->tell_log(error.what());
  }
}

void Hold::give_back(std::unique_ptr<Lease> lease) {
  const std::optional<LocalQueues::Ticket>& ticket = tenure_->ticket();
  if (!ticket) return lease->release();
  if (LocalQueues::has_next(*ticket) && lease->may_be_passed(local_handoffs_)) {
    lease = LocalQueues::pass(*ticket, std::move(lease));
    if (!lease) return;
  }
  struct Leave {
    const LocalQueues::Ticket& ticket;
    ~Leave() { LocalQueues::leave(ticket); }
  } const leave{*ticket};
  lease->release();
}

// ---- extension ------------------------------------------------------------------------------------------------------

void Hold::extend() { extend(expiry_); }

void Hold::extend(std::chrono::milliseconds expiry) {
  const report::Action action{"extend", tenure_->key()};
  if (protocol::time_left(valid_until(), now()).count() == 0) {
    if (!inherited()) tenure_->lose();
    throw MutexUnlockError{report::cannot(*session_, action, "its lease has ended")};
  }
  const protocol::Extend::Terms terms{
      .expiry = expiry, .longer = protocol::Longer::goes, .tracking = tenure_->extension_tracking()};
  const protocol::Instant old_until = tenure_->begin_extension(terms).value_or(protocol::Instant{});
  protocol::Extend machine{tenure_->key(), tenure_->id(), terms};
  const auto failure = session_->run(machine, std::min(session_->patience(), deadline_at(old_until)));
  if (failure && machine.in_doubt()) {
    report::raise_unknown(*session_, action, *failure, "valid_for() says what can be relied on");
  }
  if (failure) report::raise(*session_, action, *failure);
  tenure_->conclude_extension(machine);
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
    report::raise(*session_, action, *refused);
  }
  if (std::holds_alternative<protocol::Extend::Extended>(machine.outcome())) {
    if (Observer* observer = session_->observer()) {
      observer->renewed(key(), protocol::time_left(tenure_->valid_until(), now()));
    }
    return;
  }
  tenure_->lose();
  throw MutexUnlockError{report::cannot(*session_, action, report::was_lost)};
}

// ---- loss -----------------------------------------------------------------------------------------------------------

std::stop_token Hold::loss() {
  if (inherited()) {
    std::stop_source lost;
    lost.request_stop();
    return lost.get_token();
  }
  // Whoever asks wants to know at once: the server is to report when the key is changed.
  tenure_->look_after({});
  return tenure_->lost_token();
}

void Hold::tell_unwatched(const std::exception& why) const noexcept try {
  session_->tell_log(report::cannot(*session_, report::Action{"watch", tenure_->key()}, why.what()) +
                     "; its lost_token() has stopped already");
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
}

}  // namespace redismutex::engine
