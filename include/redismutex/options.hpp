#pragma once

#include <redismutex/config.hpp>

#include <chrono>
#include <optional>
#include <string>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// How many replicas of a server are to have received something: a number, or a part of those that are configured, whether they are up or not.
class Replicas {
 public:
  enum class Kind { number, majority, all };

  /// So many; 0: nobody asks.
  constexpr Replicas(int count = 0) noexcept : count_{count} {}  // NOLINT(google-explicit-constructor): a number is one

  static const Replicas majority;  ///< more than half of them
  static const Replicas all;

  constexpr Kind kind() const noexcept { return kind_; }
  constexpr int count() const noexcept { return count_; }  ///< of a number
  constexpr bool is_off() const noexcept { return kind_ == Kind::number && count_ == 0; }

  friend constexpr bool operator==(const Replicas&, const Replicas&) = default;

 private:
  constexpr explicit Replicas(Kind kind) noexcept : kind_{kind} {}

  Kind kind_ = Kind::number;
  int count_ = 0;
};

inline constexpr Replicas Replicas::majority{Kind::majority};
inline constexpr Replicas Replicas::all{Kind::all};

/// How a RedisMutex behaves. The defaults are those of the Python library that this one descends from.
///
/// The three durations belong together: `delay` is less than `block_time`, which is less than `expiry` (with auto_renew a
/// wait may be longer than the lease). One that is left out is fitted to those that are said; RedisMutex::options() shows
/// the outcome.
struct Options {
  /// Whether acquire_lock waits for a taken lock. If not, block_time is not used.
  bool blocking = true;

  /// How long a blocking acquire_lock waits before it throws BlockTimeExceedError. Honoured to the millisecond.
  /// Left out: 5 s, or ten times `delay` if that is more; but at most 5/7 of `expiry`.
  std::optional<std::chrono::milliseconds> block_time{};

  /// How often a waiter looks at the server by itself, in a non-blocking mutex too (try_acquire_lock_for).
  /// Left out: 500 ms, or a tenth of `block_time` if that is less.
  std::optional<std::chrono::milliseconds> delay{};

  /// The lease: after this time without release or extend() the server frees the lock, so that a dead owner blocks
  /// nobody for ever. At least 4 ms: 1 % + 2 ms of it are not relied on (Lock::valid_for).
  /// Threads of a process that wait for the same key (local_handoffs) wait by one place in line, which asks for the longest of theirs:
  /// whoever gets the lock by it may have it for that long, but not beyond max_hold.
  /// Left out: 7 s, or 7/5 of `block_time` if that is more. With auto_renew: 7 s.
  std::optional<std::chrono::milliseconds> expiry{};

  /// How many may wait for one key at the server, this process's included (a process counts once, however many of its
  /// threads wait); who comes later gets a MutexLockError at once.
  int max_waiters = 10000;

  /// Threads of this process that want the same key pass the lock on among themselves, without the network; while another process
  /// waits too as often in a row as this, and for 20 ms. 0: each thread waits at the server by itself.
  int local_handoffs = 16;

  /// Keep the lease alive for as long as the Lock lives: a thread of the Connection starts it anew every third of `expiry`, and
  /// tries again as long as the lease lasts when it can not. `expiry` then says how soon a dead owner's lock is free.
  bool auto_renew = false;

  /// With auto_renew: the longest that one Lock may be held, so that a process which hangs does not keep it for ever. Its
  /// lease then ends, and lost_token() fires. extend() is the holder's own word, and may go beyond it. 0: no limit; else at least `expiry`.
  std::chrono::milliseconds max_hold{0};

  /// Mint a fencing token with each acquisition, see Lock::fencing_token(). All who lock a key should agree on it. Costs no
  /// round trip, and the server a little more.
  bool fencing = false;

  /// So many replicas have to have received it before an acquisition, a renewal or an extend() counts: a number, `Replicas::majority` or
  /// `Replicas::all`. They are asked on a second connection, which those who want it at about the same time share. 0: nobody asks, and it
  /// costs nothing.
  ///
  /// If too few have received it within a quarter of the lease (at most connect_timeout, and not beyond block_time), the lock is given back, and
  /// a ServerError is thrown whose reason() is no_replicas; extend() throws the same, and a renewal is tried again. The lease is then what
  /// was confirmed before. The two parts are those of the replicas that are configured, as far as can be known: what sentinels or the
  /// cluster list, and of a single server the most that it was seen with. What replicas can not promise is in docs/safety.md.
  /// Not for a quorum: RedisMutex throws std::invalid_argument.
  Replicas replicas{};

  /// What stands beside the key on the server while the lock is held, for `inspect()` and the people who use it: some words, at most
  /// 512 bytes. Empty: nothing. Nobody waits for it: it is written in the background 5 ms after the lock was taken, which costs a command
  /// then, and is missing if that fails. It goes with the lock.
  std::string label{};

  /// What events of the Observer call locks of this mutex: a word of the developer's, one of few.
  std::string name{};
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
