#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace redismutex::net {

/// A point on CLOCK_BOOTTIME, which goes on while the machine sleeps.
using BootTime = std::chrono::nanoseconds;
BootTime boot_now() noexcept;

/// The library's one thread for what happens while no caller is there: sockets that nobody reads, and timers. One for the
/// process, shared by all Connections; it ends with the last of them.
class Reactor {
 public:
  /// The process's own; a child of fork() gets a new one. Made on first need; throws std::system_error if there is no thread or no
  /// descriptor to be had.
  static std::shared_ptr<Reactor> shared();
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  bool runs_this_thread() const noexcept;

  /// Something with a descriptor that is watched now and then.
  class Source {
   public:
    /// Throws std::bad_alloc.
    explicit Source(Reactor& reactor);
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

   protected:
    ~Source();

    /// Called in the reactor's thread when the descriptor that was armed is ready for one of `events` (EPOLLIN, EPOLLOUT), or is
    /// in error; once for each arm(). Must not block.
    virtual void ready(std::uint32_t events) noexcept = 0;

    /// Watches the descriptor, once, in place of what was watched before; 0: for nothing any more. False: it can not be watched.
    /// Any thread may call it, with locks held.
    bool arm(int fd, std::uint32_t events) noexcept;

    /// The descriptor is not watched any more, and ready() does not run any more, unless in this very thread. To be called with no
    /// lock that ready() takes, at the latest in the destructor of the most derived class.
    void leave() noexcept;
  };

  /// Something that is to happen at a time.
  class Timer {
   public:
    /// `expired` is called in the reactor's thread, with no lock held; it must not block, or throw. Throws std::bad_alloc.
    Timer(Reactor& reactor, std::function<void()> expired);
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    /// Waits for `expired` if that runs, unless this is the reactor's thread.
    ~Timer();

    /// Once, at that time, in place of the time that was set before. Any thread may call it, with locks held that `expired` takes.
    void set(BootTime at) noexcept;

    /// Does not wait for an `expired` that runs already.
    void cancel() noexcept;
  };

  /// An eventfd to wake a thread that polls, from a stock: as many as there are threads that poll at the same time.
  class Kick;
};

}  // namespace redismutex::net
