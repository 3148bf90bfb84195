#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <utility>

#include "engine/bell.hpp"
#include "engine/lease.hpp"
#include "net/poll.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"

namespace redismutex::engine {

class Tenure;

/// The threads of this process that want the same key, in the order of their arrival: only the first of each line waits
/// at the server, or is inside; the lease then passes from thread to thread. Thread-safe.
///
/// Source: Dice, Marathe, Shavit, "Lock Cohorting", PPoPP 2012.
class LocalQueues final {
  struct Line;

 public:
  /// Identifies who is first in a line, or inside.
  class Ticket {
   public:
    bool operator==(const Ticket&) const = default;

   private:
    friend LocalQueues;
    std::shared_ptr<Line> line_;
    std::uint64_t number_ = 0;
  };

  struct Turn {
    enum class Kind {
      first,   ///< go to the server
      handed,  ///< be inside: here is the lease
      timed_out,
      stopped,
    };
    Kind kind;
    Ticket ticket{};
    std::unique_ptr<Lease> lease = nullptr;
  };

  /// Waits for this thread's turn. After `first` and `handed` the line must be left, by leave() or pass(). `on_wait`, if there
  /// is one, is called, without any lock held, if somebody else is there; it throws only where this is not to be used any more.
  Turn enter(const protocol::Key& key, net::Deadline deadline, const std::stop_token& stop,
             const std::function<void()>& on_wait);

  /// The thread is inside, at the most until then: a thread that never comes back does not hold up the line for longer.
  static void note_inside(const Ticket& ticket, const std::shared_ptr<Tenure>& tenure);
  static void note_until(const Ticket& ticket, protocol::Instant until);

  /// Whether anybody was behind the ticket a moment ago.
  static bool has_next(const Ticket& ticket) noexcept;

  /// Gives the lease to the next thread; gives it back if there is none, or the ticket is no longer the first.
  static std::unique_ptr<Lease> pass(const Ticket& ticket, std::unique_ptr<Lease> lease);

  /// Without a lease to pass: the next thread goes to the server.
  static void leave(const Ticket& ticket);

 private:
  struct Waiter {
    Bell bell;  // rung for good with the turn
    std::optional<Turn> turn;
    net::Deadline sleeps_until = awake;
  };
  static constexpr net::Deadline awake = net::Deadline::min();

  struct Shard;

  /// Guarded by its shard's mutex. Who has a ticket keeps it alive, but it is the line for its key only as long as the shard
  /// has it.
  struct Line : std::enable_shared_from_this<Line> {
    Line(Shard& where, std::string which) : shard{where}, key{std::move(which)} {}

    Shard& shard;
    const std::string key;
    std::uint64_t first = 0;                 // the number of the ticket of the one inside, or first
    std::optional<protocol::Instant> until;  // of the one inside
    protocol::Instant since;                 // when that one came in
    std::weak_ptr<Tenure> inside;
    bool key_is_watched = false;  // the server was asked to tell when somebody changes the key of the one inside
    std::list<Waiter*> waiters;
    std::atomic<bool> has_waiters{false};  // to be asked without the mutex
    Waiter* watchman = nullptr;            // the waiter who looks after the end of that lease; one, if there is any

    protocol::Instant next_look() const;
    Ticket next_ticket();
  };
  // The library searches small maps key by key, which is slow where they are not in this processor's cache, if it takes the
  // hash for slow; and that it does for its own hash of strings only.
  struct Hash : std::hash<std::string> {};
  struct Shard {
    std::mutex mutex;  // guards the rest
    std::unordered_map<std::string, std::shared_ptr<Line>, Hash> lines;
  };
  using Place = std::list<Waiter*>::iterator;

  Shard& shard_of(const protocol::Key& key);
  static Turn wait(Line& line, std::unique_lock<std::mutex>& lock, net::Deadline deadline, const std::stop_token& stop,
                   const std::function<void()>& on_wait);
  static net::Deadline watch(Line& line, std::unique_lock<std::mutex>& lock);
  static void promote(Line& line, Turn turn, Wakeups& wakeups);
  static Place line_up(Line& line, Waiter& waiter);
  static void leave_line(Line& line, Place place, Wakeups& wakeups);
  static void appoint_watchman(Line& line, Wakeups& wakeups);
  static void tell_watchman(Line& line, Wakeups& wakeups);

  std::array<Shard, 4> shards_;  // so that threads that want different keys seldom meet
};

}  // namespace redismutex::engine
