#pragma once

#include <redismutex/config.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <redismutex/connection.hpp>
#include <redismutex/lock.hpp>
#include <redismutex/options.hpp>
#include <redismutex/redis_mutex.hpp>
#include <string>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// A named mutex in the standard's form, for std::unique_lock, std::scoped_lock and std::lock: Lockable and TimedLockable.
///
/// Thread-safe. As with std::mutex the thread that locked should be the one that unlocks; another one may. Not recursive.
/// Unlike a std::mutex it is a lease: programs that must know when it was lost use RedisMutex and Lock.
class REDISMUTEX_EXPORT Mutex {
 public:
  /// Throws what RedisMutex does for bad options or a bad key.
  Mutex(Connection connection, std::string key, Options options = {});
  ~Mutex();
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  /// Throws what RedisMutex::acquire_lock throws; after a block time without success BlockTimeExceedError.
  void lock();

  /// Throws what RedisMutex::try_acquire_lock throws.
  bool try_lock();

  /// Releases what the calling thread took; if it took nothing, the lock that has been held longest, so that a lock can be
  /// taken in one thread and given back in another. A lock that was lost meanwhile, or a server that gives no answer, is not
  /// reported; the lease ends by itself.
  void unlock() noexcept;

  /// A limit that is not positive means one attempt.
  template <class Rep, class Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period>& limit) {
    using std::chrono::milliseconds;
    // The comparison is made on doubles: the longest duration of another type may not fit into milliseconds.
    const std::chrono::duration<double, std::milli> wanted{limit};
    if (wanted >= std::chrono::duration<double, std::milli>{longest_wait}) return try_lock_within(longest_wait);
    if (wanted.count() <= 0) return try_lock();
    return try_lock_within(std::chrono::ceil<milliseconds>(limit));
  }

  template <class Clock, class Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration>& deadline) {
    // In doubles for the same reason: the difference of two points in time may not fit into their type.
    using Seconds = std::chrono::duration<double>;
    return try_lock_for(Seconds{deadline.time_since_epoch()} - Seconds{Clock::now().time_since_epoch()});
  }

 private:
  static constexpr std::chrono::milliseconds longest_wait = std::chrono::hours{24 * 365};

  bool try_lock_within(std::chrono::milliseconds limit);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
