#include <redismutex/errors.hpp>
#include <redismutex/observer.hpp>
#include <redismutex/redis_mutex.hpp>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <variant>

#include "api/attempt.hpp"
#include "api/fit.hpp"
#include "api/lock_access.hpp"
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

/// A caller that waits: drives its attempt.
template <class Where>
class Caller {
 public:
  using Acquisition = typename Where::Acquisition;

  Caller(const Where& where, std::string_view key, const Options& options, std::optional<milliseconds> limit)
      : where_{where},
        attempt_{where.runtime, where.name(), key, options, limit},
        acquisition_{where.place(), attempt_.key(), attempt_.wishes([this] { note_wait(); }), sleeper_} {}

  const api::Attempt& attempt() const noexcept { return attempt_; }

  /// See Attempt::take_in().
  std::optional<typename Acquisition::Granted> run(const std::stop_token& stop) try {
    where_.runtime.drive(acquisition_, sleeper_, stop);
    return attempt_.take_in<Acquisition>(acquisition_.take_outcome());
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
    if (!where_.runtime.inherited()) return;
    api::report::raise(where_.name(), {"acquire", attempt_.key()},
                       {route::Failure::Kind::cancelled, "this process was forked while its parent waited"});
  }

  const Where where_;
  const api::Attempt attempt_;
  route::Sleeper sleeper_;
  Acquisition acquisition_;
};

}  // namespace

RedisMutex::RedisMutex(Connection connection, Options options)
    : runtimes_{std::move(connection.runtimes_)},
      options_{std::make_shared<const Options>(api::fit(std::move(options)))} {
  if (runtimes_->is_quorum() && !options_->replicas.is_off()) {
    throw std::invalid_argument{
        "replicas is for Connections to one server, to sentinels and to a cluster, not for a quorum"};
  }
}

/// Without a limit: one try. `taken`, if it is wanted: the message for a lock that is taken.
std::optional<Lock> RedisMutex::acquire(std::string_view key, std::optional<milliseconds> limit,
                                        const std::stop_token& stop, std::string* taken) const {
  if (runtimes_->is_quorum()) return acquire_at_quorum(key, limit, stop, taken);
  std::shared_ptr<api::Runtime> runtime = runtimes_->present();
  Caller<AtServer> caller{{*runtime}, key, *options_, limit};
  runtime->survey();
  if (auto granted = caller.run(stop)) {
    return api::LockAccess::make(std::move(runtime), std::move(*granted), options_);
  }
  if (taken != nullptr) *taken = caller.attempt().taken();
  return std::nullopt;
}

std::optional<Lock> RedisMutex::acquire_at_quorum(std::string_view key, std::optional<milliseconds> limit,
                                                  const std::stop_token& stop, std::string* taken) const {
  const std::shared_ptr<api::Quorum> quorum = runtimes_->quorum();
  auto held = std::make_shared<api::QuorumLock>(quorum, options_);
  Caller<AtQuorum> caller{{*quorum, quorum->first()}, key, *options_, limit};
  quorum->survey();
  if (auto granted = caller.run(stop)) {
    held->hold(std::move(granted->lease));
    return Lock{std::move(held)};
  }
  if (taken != nullptr) *taken = caller.attempt().taken();
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
