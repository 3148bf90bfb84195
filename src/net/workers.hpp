#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>

#include "net/reactor.hpp"
#include "net/thread.hpp"

namespace redismutex::net {

/// The process's threads for what may block, or is users' code: normally one. While all are busy and something waits, there are
/// more, up to a limit; those that have nothing to do end after a while. Belongs to a reactor, and ends with it. Thread-safe.
class Workers {
 public:
  /// Something to do, now and then; in one thread at a time.
  class Task {
   public:
    /// `run` is called with no lock held; it must not throw. It may block, and the last owner of the reactor may go in it; the task
    /// may not. Throws std::bad_alloc.
    Task(Workers& workers, std::function<void()> run);
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;

    /// As withdraw().
    ~Task();

    /// It is to run once more from now on: if it waits already it runs once for both, if it runs now it runs again afterwards. To
    /// be called after Workers::get_ready(). May be called with locks held that `run` takes.
    void post() noexcept;

    /// It does not run any more, unless it is posted again. Waits if it runs in this moment.
    void withdraw() noexcept;

   private:
    friend class Workers;
    enum class State { idle, waiting, running, to_run_again };

    Workers& workers_;
    const std::function<void()> run_;
    State state_ = State::idle;  // these are guarded by Workers::mutex_
    std::list<Task*> own_place_{this};
    std::list<Task*>::iterator place_{own_place_.begin()};  // there, or in Workers::waiting_
  };

  explicit Workers(Reactor& reactor);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Starts the first thread, which stays. Throws std::system_error if there is none to be had, and std::bad_alloc.
  void get_ready();

  bool runs_this_thread() const noexcept;

  static constexpr std::size_t most_threads = 64;
  static constexpr std::chrono::milliseconds patience{2};      ///< with busy threads, before there is another
  static constexpr std::chrono::milliseconds idle_time{1000};  ///< of a thread, before it ends

 private:
  using Threads = std::list<Thread>;

  void start();
  void run(Threads::iterator self);
  Task* next(std::unique_lock<std::mutex>& lock);
  void append(Task& task) noexcept;
  void look();

  std::mutex mutex_;  // guards what follows
  std::condition_variable posted_;
  std::condition_variable one_is_through_;
  std::list<Task*> waiting_;
  Threads threads_;
  Threads ended_;         // to be joined
  std::size_t idle_ = 0;  // or about to start
  bool ending_ = false;

  Reactor::Timer look_;  // whether something waits too long
};

}  // namespace redismutex::net
