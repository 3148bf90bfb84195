#include <redismutex/errors.hpp>
#include <redismutex/observer.hpp>
#include <redismutex/redis_mutex.hpp>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <variant>

#include "api/attempt.hpp"
#include "api/fit.hpp"
#include "api/report.hpp"
#include "api/runtime.hpp"
#include "api/runtimes.hpp"
#include "api/validate.hpp"
#include "api/where.hpp"
#include "protocol/key.hpp"
#include "route/sleeper.hpp"

namespace redismutex {
namespace {

using std::chrono::milliseconds;

static_assert(RedisMutex::max_key_size == protocol::Key::max_size);

/// A caller that waits: drives its attempt.
template <class Where>
class Caller {
 public:
  using Acquisition = typename Where::Acquisition;

  Caller(Where where, std::string_view key, std::optional<milliseconds> limit)
      : where_{std::move(where)},
        attempt_{*where_.runtime(), where_.name(), key, where_.options(), limit},
        acquisition_{where_.place(), attempt_.key(), attempt_.wishes([this] { note_wait(); }), sleeper_} {}

  const api::Attempt& attempt() const noexcept { return attempt_; }

  /// None: it is taken. Once.
  std::optional<Lock> run(const std::stop_token& stop) try {
    where_.survey();
    where_.runtime()->drive(acquisition_, sleeper_, stop);
    auto granted = attempt_.take_in(acquisition_);
    return granted ? std::optional{where_.hold(std::move(*granted))} : std::nullopt;
  } catch (const std::system_error& error) {
    attempt_.raise({route::Failure::Kind::exhausted, error.code().message()});
  } catch (const Error&) {  // told already
    throw;
  } catch (...) {  // no memory
    attempt_.tell(api::Attempt::Outcome::error);
    throw;
  }

 private:
  /// A child that is forked here goes on with this call, which is the parent's.
  void note_wait() {
    const protocol::OwnerId* const id = acquisition_.id();
    if (attempt_.note_wait()) attempt_.tell_wait(id != nullptr ? id->text() : std::string_view{});
    if (!where_.runtime()->inherited()) return;
    api::report::raise(where_.name(), {"acquire", attempt_.key()},
                       {route::Failure::Kind::cancelled, "this process was forked while its parent waited"});
  }

  Where where_;
  api::Attempt attempt_;
  route::Sleeper sleeper_;
  Acquisition acquisition_;
};

}  // namespace

RedisMutex::RedisMutex(Connection connection, Options options)
    : runtimes_{std::move(connection.runtimes_)},
      options_{std::make_shared<const Options>(api::fit(std::move(options)))} {
  api::check_place(*runtimes_, *options_);
}

/// Without a limit: one try. `taken`, if it is wanted: the message for a lock that is taken.
std::optional<Lock> RedisMutex::acquire(std::string_view key, std::optional<milliseconds> limit,
                                        const std::stop_token& stop, std::string* taken) const {
  const auto run = [&](auto&& caller) {
    auto lock = caller.run(stop);
    if (!lock && taken != nullptr) *taken = caller.attempt().taken();
    return lock;
  };
  if (runtimes_->is_quorum()) return run(Caller{api::AtQuorum{runtimes_->quorum(), options_}, key, limit});
  return run(Caller{api::AtServer{runtimes_->present(), options_}, key, limit});
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
