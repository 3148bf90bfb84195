#pragma once

/// Locks for programs that are built on event loops: coroutines of any framework, and plain callbacks. Not part of redismutex.hpp.
///
/// An AsyncMutex and a RedisMutex that share a Connection share its socket and its lines: threads and coroutines that want one key come
/// first, first served.

#include <redismutex/config.hpp>

#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <redismutex/connection.hpp>
#include <redismutex/errors.hpp>
#include <redismutex/executor.hpp>
#include <redismutex/lock.hpp>
#include <redismutex/observer.hpp>
#include <redismutex/operation.hpp>
#include <redismutex/options.hpp>
#include <stop_token>
#include <string>

namespace redismutex::api {
struct AsyncLockAccess;
}  // namespace redismutex::api

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// A lock that an AsyncMutex has taken: the right to be inside, until released or lost. Move-only; empty by default.
///
/// No function waits. For one thread at a time. Others may call valid_for(), owns_lock() and lost_token(), but not while it is released,
/// moved from or destroyed: who watches it for longer keeps its lost_token(). It belongs to whoever has it, not to a thread: a coroutine
/// may go on in another one. In a child of fork() it is the parent's: what is to be done with it throws MutexUnlockError there.
class REDISMUTEX_EXPORT AsyncLock {
 public:
  AsyncLock() noexcept = default;
  AsyncLock(AsyncLock&& other) noexcept;
  AsyncLock& operator=(AsyncLock&& other) noexcept;

  /// Has the lock released in the background, before operations that are started later. Release it yourself where it matters whether it
  /// was still yours, and before the process ends.
  ~AsyncLock();

  /// As those of Lock; of an empty one they are empty, false or 0.
  const std::string& key() const noexcept;
  const std::string& value() const noexcept;
  bool owns_lock() const noexcept { return valid_for() > std::chrono::milliseconds{0}; }
  explicit operator bool() const noexcept { return owns_lock(); }
  std::optional<std::uint64_t> fencing_token() const noexcept;
  std::stop_token lost_token() const noexcept;

  /// As Lock::valid_for(), but asks nobody: a lock that was waited for has a lease of a second at first, and its full one within a few
  /// milliseconds.
  std::chrono::milliseconds valid_for() const noexcept;

  /// Where its operations complete: that of its mutex.
  const Executor& executor() const noexcept { return executor_; }

  /// Gives it back, and throws what Lock::release() throws. The AsyncLock is empty from now on; an Operation that is never started has it
  /// released all the same. Can not be cancelled.
  Operation<void> release();

  /// A fresh lease of `expiry` (without argument: the mutex's own), and the time left to rely on. Throws what Lock::extend() throws. Can
  /// not be cancelled. While several are under way together, and after them until the next one, the shortest of them counts.
  Operation<std::chrono::milliseconds> extend();
  Operation<std::chrono::milliseconds> extend(std::chrono::milliseconds expiry);

  /// Ends when the lock is lost, and tells why. Throws LockCancelled when the lock was released, or let go of, or when `stop` fires.
  ///
  /// A loop that is busy learns of it late; lost_token() has stopped by then, and valid_for() says 0.
  Operation<Loss> lost(std::stop_token stop = {}) const;

 private:
  friend struct api::AsyncLockAccess;

  REDISMUTEX_LOCAL AsyncLock(Lock lock, Executor executor);
  REDISMUTEX_LOCAL void let_go() noexcept;

  std::optional<Lock> lock_;
  Executor executor_;
  mutable std::stop_source ended_{std::nostopstate};  // stops when it is given back; none before somebody wants to know
};

/// Takes locks by key without blocking a thread, all with the same Options. Immutable: any number of threads may share one.
///
/// Each function returns an Operation, which throws what the function of that name of RedisMutex throws; bad arguments are thrown at
/// once. When an operation throws, nothing is held. The limits are for the whole, and run from the moment it is started.
///
/// A stop_token that fires, or an Operation whose awaiter is destroyed, cancels: a wait in line is given up, and what the server may have
/// granted meanwhile is given back in the background. The operation ends with LockCancelled at once.
class REDISMUTEX_EXPORT AsyncMutex {
 public:
  /// `executor`: where operations of this mutex complete; without one, in threads of the library. Throws as RedisMutex does.
  explicit AsyncMutex(Connection connection, Options options = {}, Executor executor = {});

  /// Waits for up to Options::block_time, and then throws BlockTimeExceedError; without Options::blocking it throws MutexLockError at once
  /// if the lock is taken.
  Operation<AsyncLock> acquire_lock(std::string key, std::stop_token stop = {}) const;

  /// One attempt: nothing when it is taken.
  Operation<std::optional<AsyncLock>> try_acquire_lock(std::string key, std::stop_token stop = {}) const;

  /// Waits for up to `limit`: nothing when it is still taken then.
  Operation<std::optional<AsyncLock>> try_acquire_lock_for(std::string key, std::chrono::milliseconds limit,
                                                           std::stop_token stop = {}) const;

  /// As RedisMutex::options().
  const Options& options() const noexcept { return *options_; }

  const Executor& executor() const noexcept { return executor_; }

 private:
  std::shared_ptr<api::Runtimes> runtimes_;
  std::shared_ptr<const Options> options_;
  Executor executor_;
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
