#pragma once

#include <redismutex/config.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// Why a lock was lost.
enum class Loss {
  expired,  ///< its lease ended: it was not extended, or the server could not be reached in time
  gone,     ///< the server said so: the key was deleted, or has another owner
};

/// Which lock an event is about. Valid during the call only.
struct AboutLock {
  std::string_view mutex;  ///< Options::name: the one to use as a label, because there are few of them
  std::string_view key;    ///< there may be any number of these
};

/// Somebody else has the lock, and one of our callers begins to wait for it.
struct WaitBegan : AboutLock {
  /// The id under which it stands in the server's line: inspect() (redismutex/operate.hpp) tells its position there. Empty while it
  /// stands behind others of this process.
  std::string_view value;
  const void* attempt;  ///< tells the attempts that are under way apart: the same in its AttemptEnded
};

/// One of our callers has tried to take a lock, or waited for it. Each attempt ends once.
struct AttemptEnded : AboutLock {
  enum class Outcome {
    free,         ///< acquired: nobody had it
    handed_over,  ///< acquired: from another process, or after it
    passed,       ///< acquired: from another caller of this process
    taken,        ///< a single try, and somebody else has it
    timed_out,    ///< it was taken all the time
    cancelled,    ///< by the caller's stop_token, or because the loop in which it was to complete has ended
    queue_full,   ///< Options::max_waiters wait already
    error,        ///< no answer, a refusal, or no resources
  };
  Outcome outcome;
  std::chrono::nanoseconds waited;  ///< since it began
  const void* attempt;              ///< the same as in its WaitBegan, if there is one

  /// There is a WaitBegan of it. It was told before, or, where no thread waits (redismutex/async.hpp), may be told a moment later.
  bool has_waited;

  /// From when its owner gave it away until the caller has it, about; with `handed_over` by a single server. It takes the clocks of server
  /// and client to run alike: what they differ by while the caller waits, up to 0.5 ms a second, is in it.
  std::optional<std::chrono::nanoseconds> handover_delay{};

  /// So often the lock was handed to the caller, and it noticed only when the short lease that comes with that (1 s) was over, as in a process
  /// that stood still: it went to the next one, and the caller lined up anew.
  std::size_t claims_lost{};

  bool acquired() const noexcept { return outcome <= Outcome::passed; }
};

/// A lock that was acquired has ended, because it was released, or its Lock was destroyed. There is one for each acquired attempt.
struct HoldEnded : AboutLock {
  enum class Outcome {
    released,  ///< given back to the server, or passed on
    expired,   ///< its lease had ended before, or the holder had been told so
    gone,      ///< the server said that it was deleted, or has another owner
    unknown,  ///< there was no answer, or a refusal, or nobody began the release: it goes on in the background until the lease ends
    left,       ///< Lock::leave(): it stands until its lease ends
    abandoned,  ///< this process is a child of fork(), and the lock is its parent's
  };
  Outcome outcome;
  std::chrono::nanoseconds held;  ///< 0 for `abandoned`
};

/// A lock was lost while somebody held it; told once for each, when it is found out.
struct LockLost : AboutLock {
  Loss why;
  bool claim{};  ///< within the short lease with which it was handed over, before the full one began
};

/// A lease was started anew, by Lock::extend() or in the background.
struct LeaseRenewed : AboutLock {
  std::chrono::milliseconds valid_for;
  std::int64_t waiting;  ///< so many wait for it at the server
};

/// Some leases could not be renewed, and will be tried again as long as they last.
struct RenewalFailed {
  std::size_t leases;
  std::string_view reason;
};

/// There is a connection.
struct Connected {
  std::string_view server;
  bool again;  ///< there was one before
};

/// An attempt to connect failed.
struct ConnectFailed {
  std::string_view server;
  std::string_view reason;
};

/// The connection broke.
struct Disconnected {
  std::string_view server;
  std::string_view reason;
};

/// The server has answered a request that a thread of yours waited for.
struct RequestAnswered {
  enum class Kind {
    acquire,  ///< for a lock, if it is free
    line_up,  ///< for a lock or a place in line; or renews the place
    look,     ///< how long the present lease lasts
    extend,
    release,
    other,  ///< of operators' tools, for instance
  };
  std::string_view server;
  std::chrono::nanoseconds duration;
  Kind kind{Kind::other};
};

/// Is told what happens on a Connection, for metrics and logs: see ConnectionOptions::observer. Override what you need. Later versions
/// may add events, and members at the end of these structs.
///
/// What one of your own threads does is told in that thread: wait_began, attempt_ended, hold_ended, request_answered, and lease_renewed by
/// extend(). All else is told in threads made for that: each lock_lost, and each wait_began of an AsyncMutex, in one of its own, the others
/// one after the other. With no lock of this library held, and by several threads at once. What it does in your threads delays them, and
/// what it does in the others delays what is to be told next: be quick. While 1,000 events wait, further ones are left out. It must not
/// throw.
class REDISMUTEX_EXPORT Observer {
 public:
  virtual ~Observer() = default;

  virtual void wait_began(const WaitBegan& /*event*/) noexcept {}
  virtual void attempt_ended(const AttemptEnded& /*event*/) noexcept {}
  virtual void hold_ended(const HoldEnded& /*event*/) noexcept {}
  virtual void lock_lost(const LockLost& /*event*/) noexcept {}
  virtual void lease_renewed(const LeaseRenewed& /*event*/) noexcept {}
  virtual void renewal_failed(const RenewalFailed& /*event*/) noexcept {}
  virtual void connected(const Connected& /*event*/) noexcept {}
  virtual void connect_failed(const ConnectFailed& /*event*/) noexcept {}
  virtual void disconnected(const Disconnected& /*event*/) noexcept {}
  virtual void request_answered(const RequestAnswered& /*event*/) noexcept {}
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
