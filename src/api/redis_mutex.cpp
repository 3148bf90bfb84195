#include <redismutex/errors.hpp>
#include <redismutex/observer.hpp>
#include <redismutex/redis_mutex.hpp>
#include <system_error>
#include <utility>
#include <variant>

#include "api/fit.hpp"
#include "api/quorum.hpp"
#include "api/quorum_lock.hpp"
#include "api/report.hpp"
#include "api/runtime.hpp"
#include "api/runtimes.hpp"
#include "api/validate.hpp"
#include "engine/acquisition.hpp"
#include "engine/quorum/panel.hpp"
#include "engine/quorum/quorum_acquisition.hpp"
#include "protocol/exchange.hpp"
#include "protocol/key.hpp"
#include "route/sleeper.hpp"

namespace redismutex {
namespace {

using std::chrono::milliseconds;

static_assert(RedisMutex::max_key_size == protocol::Key::max_size);

/// Where a lock is to be taken: at what one Connection leads to,
struct AtServer {
  using Acquisition = engine::Acquisition;
  api::Runtime& runtime;

  engine::Session& place() const noexcept { return runtime.session(); }
  const std::string& name() const noexcept { return runtime.server_name(); }
};

/// or at a quorum. `runtime`: the first of its servers'.
struct AtQuorum {
  using Acquisition = engine::QuorumAcquisition;
  api::Quorum& quorum;
  api::Runtime& runtime;

  const std::shared_ptr<const engine::Panel>& place() const noexcept { return quorum.panel(); }
  const std::string& name() const noexcept { return quorum.server_name(); }
};

/// One caller's attempt: drives the acquisition, and tells the observer how it went.
template <class Where>
class Attempt {
 public:
  using Acquisition = typename Where::Acquisition;
  using Outcome = AttemptEnded::Outcome;

  Attempt(const Where& where, std::string_view key, const Options& options, std::optional<milliseconds> limit)
      : where_{where},
        runtime_{where.runtime},
        key_{key},
        options_{options},
        began_{where.runtime.session().now()},
        waits_{limit.has_value()},
        acquisition_{where.place(), key_, wishes(limit), sleeper_} {}

  /// None: it is taken. Throws for all else, but a grant.
  std::optional<typename Acquisition::Granted> run(const std::stop_token& stop) try {
    runtime_.drive(acquisition_, sleeper_, stop);
    return take_in(acquisition_.take_outcome());
  } catch (const std::system_error& error) {
    raise({route::Failure::Kind::exhausted, error.code().message()});
  } catch (const Error&) {  // told already
    throw;
  } catch (...) {  // no memory
    tell(Outcome::error);
    throw;
  }

  /// The message for a lock that is taken.
  std::string taken(const std::string& why) const { return api::report::cannot(where_.name(), action(), why); }

 private:
  engine::Wishes wishes(std::optional<milliseconds> limit) {
    return {.expiry = *options_.expiry,
            .delay = *options_.delay,
            .wait_until = limit ? std::optional{began_ + *limit} : std::nullopt,
            .max_waiters = options_.max_waiters,
            .local_handoffs = options_.local_handoffs,
            .fencing = options_.fencing,
            .renews = options_.auto_renew,
            .max_hold = options_.max_hold,
            .label = options_.label,
            .name = options_.name,
            .on_wait = [this] { note_wait(); }};
  }

  api::report::Action action() const { return {"acquire", key_}; }

  std::optional<typename Acquisition::Granted> take_in(typename Acquisition::Outcome outcome) {
    if (auto* granted = std::get_if<typename Acquisition::Granted>(&outcome)) {
      tell(outcome_of(*granted));
      return std::move(*granted);
    }
    if (const auto* failure = std::get_if<route::Failure>(&outcome)) raise(*failure);
    if (const auto* refusal = std::get_if<protocol::Refusal>(&outcome)) {
      tell(Outcome::error);
      api::report::raise(where_.name(), action(), *refusal);
    }
    if (std::holds_alternative<typename Acquisition::Full>(outcome)) {
      tell(Outcome::queue_full);
      throw MutexLockError{
          taken("Options::max_waiters, " + std::to_string(options_.max_waiters) + ", are waiting for it already")};
    }
    tell(waits_ ? Outcome::timed_out : Outcome::taken);
    return std::nullopt;
  }

  static Outcome outcome_of(const engine::QuorumAcquisition::Granted& granted) {
    return granted.was_handed ? Outcome::handed_over : Outcome::free;
  }
  static Outcome outcome_of(const engine::Acquisition::Granted& granted) {
    using How = engine::Acquisition::Granted::How;
    switch (granted.how) {
      case How::free: return Outcome::free;
      case How::handed_over: return Outcome::handed_over;
      default: return Outcome::passed;
    }
  }

  [[noreturn]] void raise(const route::Failure& failure) {
    tell(failure.kind == route::Failure::Kind::cancelled ? Outcome::cancelled : Outcome::error);
    api::report::raise(where_.name(), action(), failure);
  }

  void tell(Outcome outcome) const noexcept {
    if (Observer* const observer = runtime_.observer()) {
      observer->attempt_ended({about(), outcome, runtime_.session().now() - began_});
    }
  }

  /// A child that is forked here goes on with this call, which is the parent's.
  void note_wait() {
    if (Observer* const observer = runtime_.observer()) {
      const protocol::OwnerId* const id = acquisition_.id();
      observer->wait_began({about(), id != nullptr ? id->text() : std::string_view{}});
    }
    if (!runtime_.inherited()) return;
    api::report::raise(where_.name(), action(),
                       {route::Failure::Kind::cancelled, "this process was forked while its parent waited"});
  }

  AboutLock about() const noexcept { return {.mutex = options_.name, .key = key_.text()}; }

  const Where where_;
  api::Runtime& runtime_;
  const protocol::Key key_;
  const Options& options_;
  const protocol::Instant began_;
  const bool waits_;
  route::Sleeper sleeper_;
  Acquisition acquisition_;
};

std::string why_taken(std::optional<milliseconds> limit) {
  return limit ? "it was still taken after the block time of " + api::in_ms(*limit)
               : "it is taken, and this mutex does not wait";
}

}  // namespace

RedisMutex::RedisMutex(Connection connection, Options options)
    : runtimes_{std::move(connection.runtimes_)},
      options_{std::make_shared<const Options>(api::fit(std::move(options)))} {}

/// Without a limit: one try. `taken`, if it is wanted: the message for a lock that is taken.
std::optional<Lock> RedisMutex::acquire(std::string_view key, std::optional<milliseconds> limit,
                                        const std::stop_token& stop, std::string* taken) const {
  if (runtimes_->is_quorum()) return acquire_at_quorum(key, limit, stop, taken);
  std::shared_ptr<api::Runtime> runtime = runtimes_->present();
  Attempt<AtServer> attempt{{*runtime}, key, *options_, limit};
  runtime->survey();
  if (auto granted = attempt.run(stop)) {
    return Lock{std::move(runtime), {std::move(granted->lease), granted->turn, granted->ticket.number}, options_};
  }
  if (taken != nullptr) *taken = attempt.taken(why_taken(limit));
  return std::nullopt;
}

std::optional<Lock> RedisMutex::acquire_at_quorum(std::string_view key, std::optional<milliseconds> limit,
                                                  const std::stop_token& stop, std::string* taken) const {
  const std::shared_ptr<api::Quorum> quorum = runtimes_->quorum();
  auto held = std::make_shared<api::QuorumLock>(quorum, options_);
  Attempt<AtQuorum> attempt{{*quorum, quorum->first()}, key, *options_, limit};
  quorum->survey();
  if (auto granted = attempt.run(stop)) {
    held->hold(std::move(granted->lease));
    return Lock{std::move(held)};
  }
  if (taken != nullptr) *taken = attempt.taken(why_taken(limit));
  return std::nullopt;
}

Lock RedisMutex::acquire_lock(std::string_view key, std::stop_token stop) const {
  std::string taken;
  if (!options_->blocking) {
    if (auto lock = acquire(key, std::nullopt, stop, &taken)) return std::move(*lock);
    throw MutexLockError{taken};
  }
  if (auto lock = acquire(key, *options_->block_time, stop, &taken)) return std::move(*lock);
  throw BlockTimeExceedError{taken};
}

std::optional<Lock> RedisMutex::try_acquire_lock(std::string_view key) const {
  return acquire(key, std::nullopt, {}, nullptr);
}

std::optional<Lock> RedisMutex::try_acquire_lock_for(std::string_view key, milliseconds limit,
                                                     std::stop_token stop) const {
  api::check_duration("try_acquire_lock_for: limit", limit);
  return acquire(key, limit, stop, nullptr);
}

}  // namespace redismutex
