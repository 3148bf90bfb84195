#include <atomic>
#include <optional>
#include <redismutex/async.hpp>
#include <redismutex/errors.hpp>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "api/async_lock.hpp"
#include "api/attempt.hpp"
#include "api/fit.hpp"
#include "api/report.hpp"
#include "api/runtime.hpp"
#include "api/runtimes.hpp"
#include "api/task.hpp"
#include "api/validate.hpp"
#include "api/where.hpp"
#include "engine/acquisition.hpp"
#include "protocol/key.hpp"

namespace redismutex {
namespace {

using std::chrono::milliseconds;

/// What an attempt asks for, kept from the call until it is started.
struct Wanted {
  std::string key;
  std::optional<milliseconds> limit;  ///< none: one try
  std::stop_token stop;
};

/// T: an AsyncLock, of which a lock that is taken is an error; or an optional one. `Where`: see api/where.hpp.
template <class T, class Where>
class Acquiring final : public api::DrivenTask<T> {
 public:
  Acquiring(Where where, Executor executor, Wanted wanted)
      : api::DrivenTask<T>{where.runtime(), std::move(executor)},
        where_{std::move(where)},
        wanted_{std::move(wanted)} {}

 private:
  struct Canceller {
    Acquiring* task;
    void operator()() const noexcept { task->cancel(); }
  };

  void begin() override {
    attempt_.emplace(this->runtime(), where_.name(), wanted_.key, where_.options(), wanted_.limit);
    acquisition_.emplace(where_.place(), attempt_->key(), attempt_->wishes([this] { note_wait(); }),
                         static_cast<route::Waker&>(*this));
    this->begin_loop_use();
    on_stop_.emplace(std::move(wanted_.stop), Canceller{this});
    if (cancelled_) return;  // told already
    where_.survey();
    this->drive();
  }

  route::Procedure& procedure() noexcept override { return *acquisition_; }

  /// Whoever waits is told at once. What comes of the request that may be under way is given back when this goes.
  void cancel() noexcept override {
    if (this->runtime().inherited()) return;
    cancelled_ = true;
    this->stop();
    this->settle();
  }

  /// In the background, where no user's code runs.
  void note_wait() {
    if (this->runtime().observer() == nullptr || !attempt_->note_wait()) return;
    const protocol::OwnerId* const id = acquisition_->id();
    this->runtime().callbacks().tell_observer_apart(
        [self = this->shared_from_this(), this, id = id != nullptr ? std::string{id->text()} : std::string{}](
            Observer& /*observer*/) { attempt_->tell_wait(id); });
  }

  void note_abandoned() noexcept override {
    if (attempt_) attempt_->tell(api::Attempt::Outcome::cancelled);
  }

  T result() override {
    // First: then the rest may be on its way yet.
    if (cancelled_) attempt_->raise({route::Failure::Kind::cancelled, "cancelled"});
    if (const auto& failure = this->failure()) attempt_->raise(*failure);
    auto granted = attempt_->take_in(*acquisition_);
    if (granted) return api::AsyncLockAccess::make(where_.hold(std::move(*granted)), this->executor());
    if constexpr (std::is_same_v<T, AsyncLock>) {
      if (!wanted_.limit) throw MutexLockError{attempt_->taken()};
      throw BlockTimeExceedError{attempt_->taken()};
    } else {
      return std::nullopt;
    }
  }

  Where where_;
  Wanted wanted_;
  std::optional<api::Attempt> attempt_;
  std::optional<typename Where::Acquisition> acquisition_;
  std::atomic<bool> cancelled_{false};
  std::optional<std::stop_callback<Canceller>> on_stop_;
};

template <class T>
Operation<T> acquiring(api::Runtimes& runtimes, const std::shared_ptr<const Options>& options, const Executor& executor,
                       Wanted wanted) {
  [[maybe_unused]] const protocol::Key checked{wanted.key};
  if (runtimes.is_quorum()) {
    return Operation<T>{std::make_shared<Acquiring<T, api::AtQuorum>>(api::AtQuorum{runtimes.quorum(), options},
                                                                      executor, std::move(wanted))};
  }
  return Operation<T>{std::make_shared<Acquiring<T, api::AtServer>>(api::AtServer{runtimes.present(), options},
                                                                    executor, std::move(wanted))};
}

}  // namespace

AsyncMutex::AsyncMutex(Connection connection, Options options, Executor executor)
    : runtimes_{std::move(connection.runtimes_)},
      options_{std::make_shared<const Options>(api::fit(std::move(options)))},
      executor_{std::move(executor)} {
  api::check_place(*runtimes_, *options_);
}

Operation<AsyncLock> AsyncMutex::acquire_lock(std::string key, std::stop_token stop) const {
  const auto limit = options_->blocking ? options_->block_time : std::nullopt;
  return acquiring<AsyncLock>(*runtimes_, options_, executor_, {std::move(key), limit, std::move(stop)});
}

Operation<std::optional<AsyncLock>> AsyncMutex::try_acquire_lock(std::string key, std::stop_token stop) const {
  return acquiring<std::optional<AsyncLock>>(*runtimes_, options_, executor_,
                                             {.key = std::move(key), .limit = {}, .stop = std::move(stop)});
}

Operation<std::optional<AsyncLock>> AsyncMutex::try_acquire_lock_for(std::string key, milliseconds limit,
                                                                     std::stop_token stop) const {
  api::check_duration("try_acquire_lock_for: limit", limit);
  return acquiring<std::optional<AsyncLock>>(*runtimes_, options_, executor_, {std::move(key), limit, std::move(stop)});
}

}  // namespace redismutex
