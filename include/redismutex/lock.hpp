#pragma once

#include <redismutex/config.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <redismutex/observer.hpp>
#include <redismutex/options.hpp>
#include <stop_token>
#include <string>

namespace redismutex::api {
struct Ending;
struct LockAccess;
class QuorumLock;
class Runtime;
}  // namespace redismutex::api
namespace redismutex::engine {
class Lease;
}  // namespace redismutex::engine

namespace redismutex {
inline namespace REDISMUTEX_ABI {

template <class KeySource, class Function>
class Guarded;

/// The right to be inside, until released or lost. Move-only.
///
/// The destructor releases, waits for the server's answer at most as long as the Connection's timeouts say, and never
/// throws. One thread at a time owns a Lock. Others may call valid_for(), owns_lock(), loss() and lost_token(), also beside extend(), but not
/// while it is released, left, moved from or destroyed: who watches it for longer keeps its lost_token(). A child of fork() does not
/// hold its parent's locks: there the Lock counts as lost and its destructor sends nothing.
class REDISMUTEX_EXPORT [[nodiscard]] Lock {
 public:
  Lock(Lock&& other) noexcept;
  Lock& operator=(Lock&& other) noexcept;
  ~Lock();

  /// The key that is locked; empty once released.
  const std::string& key() const noexcept;

  /// The owner's id, a random UUID that is stored at the key; empty once released. Threads of one process that pass a lock
  /// on among themselves (Options::local_handoffs) use the same one after the other.
  const std::string& value() const noexcept;

  /// Whether the lock can be relied on at this moment: whether valid_for() > 0.
  bool owns_lock() const noexcept;
  explicit operator bool() const noexcept { return owns_lock(); }

  /// Gives the lock back, in one atomic step, only if it is still ours. Afterwards the Lock is empty, whatever happened.
  ///
  /// Throws MutexUnlockError if it was lost: had expired, was deleted or has another owner; ConnectionError if no answer came, or the server
  /// is away; ServerError if the server refused. After the latter two it is tried again in the background, as long as the lease
  /// would last, and ConnectionOptions::log is told.
  void release();

  /// Lets go of the lock and leaves it locked: it stands until its lease ends, is not renewed any more, and outlives this process.
  /// Afterwards the Lock is empty. `inspect` and `break_lock` (redismutex/operate.hpp) find it by its key.
  ///
  /// A lock that was waited for, and has the short lease of its first moments still, gets its full one first: that takes a round trip. To
  /// have it stand for a whole `expiry` from now on, extend() it before: what is left may be half of one.
  ///
  /// Options::label stays with it, and says that it was left: this waits until it is written, for no longer than a release may take. If it
  /// can not be written ConnectionOptions::log is told, and the lock stands without.
  void leave() noexcept;

  /// A fresh lease of `expiry` (without argument: the mutex's own) from now on. A lost lock is never taken again. An extension to a shorter
  /// lease that was not answered may be carried out late: valid_for() counts on no more than that from then on.
  ///
  /// Throws MutexUnlockError if the lock was lost, ConnectionError if no answer came within the old lease (which then is
  /// still what valid_for() says), ServerError if the server refused, std::invalid_argument for a bad duration.
  void extend();
  void extend(std::chrono::milliseconds expiry);

  /// The time left to rely on, 0 if none. Never more than the server grants: it is counted on CLOCK_BOOTTIME, which does
  /// not stand still in suspend, from *before* the request was sent, less 1 % + 2 ms for clocks that run differently.
  /// Source: redis.io distlock, "Is the Algorithm Asynchronous?" (MIN_VALIDITY).
  ///
  /// A lock that was waited for has a lease of a second at first, and its full one within a few milliseconds. Who asks sooner
  /// has it at once: the first call may take a round trip.
  ///
  /// 0 while another server is in charge than the one that confirmed it, as after a failover: the new one may not know this lock. It is asked
  /// by itself, or by extend(); lease_ends_in() goes on.
  std::chrono::milliseconds valid_for() const noexcept;

  /// The time until the lease ends, as it was last confirmed; 0 once it is known to be lost. Asks nobody.
  std::chrono::milliseconds lease_ends_in() const noexcept;

  /// A number that rises with each acquisition of the key, for resources that reject stale writers. Empty without
  /// Options::fencing.
  std::optional<std::uint64_t> fencing_token() const noexcept;

  /// Stops as soon as the lock can no longer be relied on: at the end of valid_for(), or when an extension is refused.
  /// Not stopped by a release. Callbacks registered on it run in a thread made for them. Where extend() or release() of this Lock finds the
  /// loss they run in the thread that called it, before it throws: they must not wait for that thread, nor for a mutex that it holds. They
  /// may let go of anything, this Lock and its Connection included. Where this machine has no thread or descriptor left for that, the token
  /// has stopped already, and ConnectionOptions::log is told why.
  std::stop_token lost_token() const noexcept;

  /// Why the lock was lost; none: it was not, as far as is known, or this Lock is empty. Known before lost_token() stops. Asks nobody.
  std::optional<Loss> loss() const noexcept;

 private:
  friend class RedisMutex;
  friend struct api::LockAccess;
  template <class KeySource, class Function>
  friend class Guarded;

  /// As release(), for those who can only be told that the lock was lost: throws MutexUnlockError; a server that gives no
  /// answer, or refuses, is told to ConnectionOptions::log instead.
  void release_or_log();

  /// Whoever makes one has the lock.
  struct Granted {
    std::shared_ptr<engine::Lease> lease;
    std::uint64_t turn;    ///< of ours with the lease
    std::uint64_t ticket;  ///< in the line of this process
  };
  REDISMUTEX_LOCAL Lock(std::shared_ptr<api::Runtime> runtime, Granted granted,
                        std::shared_ptr<const Options> options) noexcept;

  /// The same of a quorum's servers.
  REDISMUTEX_LOCAL explicit Lock(std::shared_ptr<api::QuorumLock> quorum) noexcept;

  /// Empties a Lock when it goes.
  struct Forgets {
    Lock& lock;
    REDISMUTEX_LOCAL ~Forgets();
  };

  REDISMUTEX_LOCAL bool inherited() const noexcept;
  REDISMUTEX_LOCAL bool is_empty() const noexcept;
  REDISMUTEX_LOCAL void ask_for_full_lease() const noexcept;
  REDISMUTEX_LOCAL void end();
  REDISMUTEX_LOCAL void end_quietly() noexcept;
  REDISMUTEX_LOCAL void report_end(const api::Ending& ending) const;
  REDISMUTEX_LOCAL std::chrono::nanoseconds began_at() const noexcept;
  REDISMUTEX_LOCAL void tell_end(HoldEnded::Outcome outcome, std::chrono::nanoseconds began) const noexcept;

  std::shared_ptr<api::Runtime> runtime_;
  std::shared_ptr<engine::Lease> lease_;  // none once released or moved from
  std::uint64_t turn_ = 0;
  std::uint64_t ticket_ = 0;
  std::uint64_t token_ = 0;
  std::shared_ptr<const Options> options_;
  std::shared_ptr<api::QuorumLock> quorum_;  // in place of all that, where several servers have it
  mutable std::atomic<bool> asked_{false};   // for the full lease
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
