#include <redismutex/errors.hpp>
#include <redismutex/observer.hpp>
#include <redismutex/redis_mutex.hpp>
#include <system_error>
#include <utility>
#include <variant>

#include "api/fit.hpp"
#include "api/report.hpp"
#include "api/runtime.hpp"
#include "api/runtimes.hpp"
#include "api/validate.hpp"
#include "engine/acquisition.hpp"
#include "protocol/exchange.hpp"
#include "protocol/key.hpp"
#include "route/sleeper.hpp"

namespace redismutex {
namespace {

using engine::Acquisition;
using std::chrono::milliseconds;

static_assert(RedisMutex::max_key_size == protocol::Key::max_size);

/// One caller's attempt: drives the acquisition, and tells the observer how it went.
class Attempt {
 public:
  using Outcome = AttemptEnded::Outcome;

  Attempt(api::Runtime& runtime, std::string_view key, const Options& options, std::optional<milliseconds> limit)
      : runtime_{runtime},
        key_{key},
        options_{options},
        began_{runtime.session().now()},
        waits_{limit.has_value()},
        acquisition_{runtime.session(), key_, wishes(limit), sleeper_} {}

  /// None: it is taken. Throws for all else, but a grant.
  std::optional<Acquisition::Granted> run(const std::stop_token& stop) try {
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
  std::string taken(const std::string& why) const { return api::report::cannot(runtime_.server_name(), action(), why); }

 private:
  engine::Wishes wishes(std::optional<milliseconds> limit) {
    return {.expiry = *options_.expiry,
            .delay = *options_.delay,
            .wait_until = limit ? std::optional{began_ + *limit} : std::nullopt,
            .max_waiters = options_.max_waiters,
            .local_handoffs = options_.local_handoffs,
            .fencing = options_.fencing,
            .replicas = options_.replicas,
            .renews = options_.auto_renew,
            .max_hold = options_.max_hold,
            .label = options_.label,
            .name = options_.name,
            .on_wait = [this] { note_wait(); }};
  }

  api::report::Action action() const { return {"acquire", key_}; }

  std::optional<Acquisition::Granted> take_in(Acquisition::Outcome outcome) {
    if (auto* granted = std::get_if<Acquisition::Granted>(&outcome)) {
      tell(outcome_of(granted->how));
      return std::move(*granted);
    }
    if (const auto* failure = std::get_if<route::Failure>(&outcome)) raise(*failure);
    if (const auto* refusal = std::get_if<protocol::Refusal>(&outcome)) {
      tell(Outcome::error);
      api::report::raise(runtime_.server_name(), action(), *refusal);
    }
    if (std::holds_alternative<Acquisition::Full>(outcome)) {
      tell(Outcome::queue_full);
      throw MutexLockError{
          taken("Options::max_waiters, " + std::to_string(options_.max_waiters) + ", are waiting for it already")};
    }
    tell(waits_ ? Outcome::timed_out : Outcome::taken);
    return std::nullopt;
  }

  static Outcome outcome_of(Acquisition::Granted::How how) {
    using How = Acquisition::Granted::How;
    switch (how) {
      case How::free: return Outcome::free;
      case How::handed_over: return Outcome::handed_over;
      default: return Outcome::passed;
    }
  }

  [[noreturn]] void raise(const route::Failure& failure) {
    tell(failure.kind == route::Failure::Kind::cancelled ? Outcome::cancelled : Outcome::error);
    api::report::raise(runtime_.server_name(), action(), failure);
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
    api::report::raise(runtime_.server_name(), action(),
                       {route::Failure::Kind::cancelled, "this process was forked while its parent waited"});
  }

  AboutLock about() const noexcept { return {.mutex = options_.name, .key = key_.text()}; }

  api::Runtime& runtime_;
  const protocol::Key key_;
  const Options& options_;
  const protocol::Instant began_;
  const bool waits_;
  route::Sleeper sleeper_;
  Acquisition acquisition_;
};

}  // namespace

RedisMutex::RedisMutex(Connection connection, Options options)
    : runtimes_{std::move(connection.runtimes_)},
      options_{std::make_shared<const Options>(api::fit(std::move(options)))} {}

/// Without a limit: one try. `taken`, if it is wanted: the message for a lock that is taken.
std::optional<Lock> RedisMutex::acquire(std::string_view key, std::optional<milliseconds> limit,
                                        const std::stop_token& stop, std::string* taken) const {
  std::shared_ptr<api::Runtime> runtime = runtimes_->present();
  Attempt attempt{*runtime, key, *options_, limit};
  runtime->survey();
  if (auto granted = attempt.run(stop)) {
    return Lock{std::move(runtime), {std::move(granted->lease), granted->turn, granted->ticket.number}, options_};
  }
  if (taken != nullptr) {
    *taken = attempt.taken(limit ? "it was still taken after the block time of " + api::in_ms(*limit)
                                 : "it is taken, and this mutex does not wait");
  }
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
