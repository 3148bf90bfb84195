#pragma once

#include <redismutex/config.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <redismutex/connection.hpp>
#include <redismutex/lock.hpp>
#include <redismutex/options.hpp>
#include <stop_token>
#include <string>
#include <string_view>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// Takes locks by key on one server, all with the same Options. Immutable: any number of threads may share one.
///
/// All acquiring functions throw std::invalid_argument for an empty key, one of more than max_key_size bytes, or one that begins
/// with `redismutex:` (what the library keeps beside keys is named so), before anything is sent; ConnectionError when the server
/// can not be reached or gives no answer in time (LoginError when it refuses the credentials); ServerError when it refuses the
/// command, for instance because something else than a lock is stored at the key (a single try does not look: it finds the lock
/// taken). When they throw, nothing is held: a lock that was perhaps taken is given back in the background.
class REDISMUTEX_EXPORT RedisMutex {
 public:
  /// The longest key, in bytes.
  static constexpr std::size_t max_key_size = 4096;

  /// Durations that are left out are fitted to those that are said, see Options. Throws std::invalid_argument naming field,
  /// value and bound when one is not positive or longer than 10 years, or when expiry is less than 4 ms; naming both fields
  /// and a remedy when what is said contradicts itself: delay >= block_time, or expiry <= block_time without auto_renew. A
  /// non-blocking mutex does not use block_time, so there that is not checked. Does no I/O.
  explicit RedisMutex(Connection connection, Options options = {});

  /// Takes the lock. A blocking mutex waits up to block_time, then throws BlockTimeExceedError; a non-blocking one throws
  /// MutexLockError at once when the lock is taken. A server that is away is waited for within the same time, and then a
  /// ConnectionError; one that waiting can not help (a wrong password, another kind of server) is so at once. Throws LockCancelled within a few milliseconds of `stop` firing.
  [[nodiscard]] Lock acquire_lock(std::string_view key, std::stop_token stop = {}) const;

  /// One attempt, whatever Options::blocking says: nothing when the lock is taken.
  [[nodiscard]] std::optional<Lock> try_acquire_lock(std::string_view key) const;

  /// Waits up to `limit`, whatever Options::blocking and block_time say: nothing when the lock is still taken then.
  /// Throws std::invalid_argument for a limit that is not positive, LockCancelled when `stop` fires.
  [[nodiscard]] std::optional<Lock> try_acquire_lock_for(std::string_view key, std::chrono::milliseconds limit,
                                                         std::stop_token stop = {}) const;

  /// What the mutex was given, and every duration that was left out: none of the optionals is empty.
  const Options& options() const noexcept { return *options_; }

 private:
  REDISMUTEX_LOCAL std::optional<Lock> acquire(std::string_view key, std::optional<std::chrono::milliseconds> limit,
                                               const std::stop_token& stop, std::string* taken) const;

  std::shared_ptr<api::Runtimes> runtimes_;
  std::shared_ptr<const Options> options_;
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
