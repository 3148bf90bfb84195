#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "net/socket.hpp"
#include "net/thread.hpp"

struct epoll_event;

namespace redismutex::net {

class Workers;

/// A point on CLOCK_BOOTTIME, which goes on while the machine sleeps.
using BootTime = std::chrono::nanoseconds;
BootTime boot_now() noexcept;

/// The library's one thread for what happens while no caller is there: sockets that nobody reads, and timers. One for the
/// process, shared by all Connections, with workers for what would hold it up; it ends with the last of them, and goes on while the process exits.
///
/// Sources, Timers and BorrowedKicks name the reactor that they belong to, and must go before its last owner does. Those that a
/// child of fork() inherits do nothing there.
class Reactor : public std::enable_shared_from_this<Reactor> {
 public:
  /// The process's own; a child of fork() gets a new one. Made on first need; throws std::system_error if there is no thread or no
  /// descriptor to be had, and std::bad_alloc.
  static std::shared_ptr<Reactor> shared();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  bool runs_this_thread() const noexcept;

  /// For what may block, or is users' code.
  Workers& workers() noexcept { return *workers_; }

  /// Something with a descriptor that is watched now and then. For one thread at a time, but for the calls of ready().
  class Source {
   public:
    /// Throws std::bad_alloc.
    explicit Source(Reactor& reactor);
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source();

   protected:
    /// Called in the reactor's thread, with no lock held, when the descriptor that was armed is ready for one of `events` (EPOLLIN,
    /// EPOLLOUT), or is in error. That ends what arm() began. Must not block.
    virtual void ready(std::uint32_t events) noexcept = 0;

    /// Watches the descriptor, once, in place of what was watched before; 0: for nothing any more, not even errors. A call of
    /// ready() for what was watched before may be on its way. False: it can not be watched. May be called with locks held.
    bool arm(int fd, std::uint32_t events) noexcept;

    /// For good: the descriptor is not watched any more, and ready() does not run any more, unless in this very thread. To be
    /// called with no lock that ready() takes, and before the descriptor is closed; at the latest in the destructor of the most
    /// derived class.
    void leave() noexcept;

   private:
    friend class Reactor;

    bool inherited() const noexcept;
    bool watch(int fd, int before, std::uint32_t events) const noexcept;

    Reactor& reactor_;
    const std::uint64_t generation_;
    std::uint64_t id_ = 0;  // 0: it has left
    int watched_ = -1;      // the descriptor that epoll knows
    std::atomic<std::uint32_t> wanted_{0};
  };

  /// Something that is to happen at a time. Thread-safe.
  class Timer {
   public:
    /// `expired` is called in the reactor's thread, with no lock held; it must not block, or throw. It may destroy the timer.
    /// Throws std::bad_alloc.
    Timer(Reactor& reactor, std::function<void()> expired);
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    /// Waits for `expired` if that runs, unless this is the reactor's thread.
    ~Timer();

    /// Once, at that time, in place of the time that was set before. May be called with locks held that `expired` takes.
    void set(BootTime at) noexcept;

    /// The same, but a time that was set before and comes earlier stays.
    void set_no_later_than(BootTime at) noexcept;

    /// Does not wait for an `expired` that runs already.
    void cancel() noexcept;

   private:
    friend class Reactor;
    struct State;

    bool inherited() const noexcept;

    Reactor& reactor_;
    const std::uint64_t generation_;
    std::shared_ptr<State> state_;
  };

 private:
  friend class BorrowedKick;
  using Agenda = std::multimap<BootTime, Timer::State*>;
  struct Slot;
  // What epoll calls the reactor's own descriptors; sources have the numbers above.
  enum OwnId : std::uint64_t { id_of_wake_up = 1, id_of_alarm, last_own_id };

  Reactor();
  ~Reactor();
  static void end(Reactor* reactor) noexcept;

  void run() noexcept;
  bool wait_and_dispatch() noexcept;
  bool fall_asleep() noexcept;
  void wake_up(std::span<const epoll_event> events) noexcept;
  void dispatch(std::uint64_t id, std::uint32_t events) noexcept;
  void fire() noexcept;
  void wake() const noexcept;
  void put_on_agenda(Timer::State& timer, BootTime at) noexcept;
  static void take_off_agenda(Agenda& agenda, Timer::State& timer) noexcept;
  void set_alarm() noexcept;

  int borrow_kick();
  void give_back_kick(int fd) noexcept;

  const std::uint64_t generation_;
  Socket epoll_;
  Socket alarm_;    // a timerfd on CLOCK_BOOTTIME
  Socket wake_up_;  // an eventfd

  std::mutex mutex_;  // guards what follows; no function of others is called with it
  std::condition_variable one_is_through_;
  std::unordered_map<std::uint64_t, Source*> sources_;  // by the number that epoll has of them
  std::uint64_t last_id_ = last_own_id;
  std::uint64_t running_source_ = 0;
  Agenda agenda_;
  Timer::State* running_timer_ = nullptr;
  BootTime alarm_at_ = BootTime::max();
  bool asleep_ = false;           // the thread: then it is to be woken for what is earlier than the alarm
  std::vector<Socket> kicks_;     // all there are
  std::vector<int> spare_kicks_;  // has room for all of them

  enum class End { none, stop, stop_alone };
  std::atomic<End> end_{End::none};
  std::unique_ptr<Workers> workers_;
  Thread thread_;
};

/// An eventfd to wake a thread that polls, from the reactor's stock: there are as many as there are threads that poll at the same
/// time. It is not closed before the reactor ends: who writes to it a little late wakes another borrower for nothing, who must be
/// prepared for that, and never writes to somebody else's file.
class BorrowedKick {
 public:
  /// Throws std::system_error if there is no descriptor to be had, and std::bad_alloc.
  explicit BorrowedKick(Reactor& reactor);
  ~BorrowedKick();
  BorrowedKick(const BorrowedKick&) = delete;
  BorrowedKick& operator=(const BorrowedKick&) = delete;

  int fd() const noexcept { return fd_; }
  void clear() const noexcept;

  /// Any thread may call it.
  static void kick(int fd) noexcept;

 private:
  Reactor& reactor_;
  const int fd_;
};

}  // namespace redismutex::net
