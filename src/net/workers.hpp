#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>

#include "net/list.hpp"
#include "net/reactor.hpp"
#include "net/thread.hpp"

namespace redismutex::net {

/// What can wait for a thread of Workers.
class Work : private Listed<Work> {
 public:
  virtual ~Work() = default;

 private:
  friend class Workers;
  friend class List<Work>;

  /// Called with the lock, and returns with it; in between there is none.
  virtual void carry_out(std::unique_lock<std::mutex>& lock) noexcept = 0;
};

/// Something to do once: see Workers::post().
class Job : private Work {
 public:
  Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job() override = default;

  /// Called in a thread of Workers, with no lock held. May block, and let go of anything, the last owner of the reactor
  /// included.
  virtual void run() noexcept = 0;

 private:
  friend class Workers;
  void carry_out(std::unique_lock<std::mutex>& lock) noexcept final;

  std::shared_ptr<Reactor> reactor_;  // while it waits, and runs
};

/// The process's threads for what may block, or is users' code: normally one. When all are busy and something has
/// waited for a moment, there are as many more as things wait, up to a limit for tasks and one for jobs: users' code that does
/// not return holds up no task, and tasks come first. If no thread is to be had, that is tried again. Those that have nothing to
/// do end after a while. Belongs to a reactor, and ends with it. Thread-safe.
class Workers {
 public:
  /// Something to do, now and then; in one thread at a time.
  class Task final : private Work {
   public:
    /// `run` is called with no lock held; it must not throw. It may block, and the last owner of the reactor may go in
    /// it; the task may not. Throws std::bad_alloc.
    Task(Workers& workers, std::function<void()> run);
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;

    /// As withdraw().
    ~Task() override;

    /// It is to run once more from now on: if it waits already it runs once for both, if it runs now it runs again
    /// afterwards. To be called after Workers::get_ready(). May be called with locks held that `run` takes.
    void post() noexcept;

    /// It does not run any more, unless it is posted again. Waits if it runs in this moment.
    void withdraw() noexcept;

   private:
    friend class Workers;
    enum class State { idle, waiting, running, to_run_again };

    void carry_out(std::unique_lock<std::mutex>& lock) noexcept override;

    Workers& workers_;
    const std::function<void()> run_;
    State state_ = State::idle;  // guarded by Workers::mutex_
  };

  explicit Workers(Reactor& reactor);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Starts the first thread, which stays. Throws std::system_error if there is none to be had, and std::bad_alloc.
  void get_ready();

  /// Has a job run, and destroys it in the same thread. Nobody can take it back, and nobody waits for it: it owns what
  /// it needs. Each job is run. Until then it has a share in the reactor, so that the last other owner does not wait
  /// for jobs when it goes; what is posted while the reactor ends is run before it has ended. Needs no memory. To be
  /// called after get_ready(), by a thread that has a share in the reactor or is one of these. May be called with locks
  /// held.
  void post(std::unique_ptr<Job> job) noexcept;

  bool runs_this_thread() const noexcept;

  static constexpr std::size_t most_at_a_time = 256;           ///< of tasks, and of jobs
  static constexpr std::chrono::milliseconds patience{2};      ///< with busy threads, before there are others
  static constexpr std::chrono::milliseconds idle_time{1000};  ///< of a thread, before it ends

 private:
  using Threads = std::list<Thread>;

  void start();
  void grow() noexcept;
  void run(Threads::iterator self);
  bool has_next(std::unique_lock<std::mutex>& lock);
  /// Works of one kind.
  struct Line {
    List<Work> waiting;  // in the order in which they came
    std::size_t running = 0;

    std::size_t ready() const noexcept;
  };
  std::size_t ready() const noexcept { return tasks_.ready() + jobs_.ready(); }
  void carry_out_next(std::unique_lock<std::mutex>& lock) noexcept;
  void append(Line& line, Work& work) noexcept;
  void look() noexcept;

  Reactor& reactor_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable posted_;
  std::condition_variable one_is_through_;
  Line tasks_;
  Line jobs_;
  Threads threads_;
  Threads ended_;         // to be joined
  std::size_t idle_ = 0;  // or about to start
  bool ending_ = false;

  Reactor::Timer look_;  // whether something waits too long
};

/// A share in the process's reactor, taken when it is first needed: whoever does nothing that needs it starts no thread.
/// Thread-safe.
class ReactorOnDemand {
 public:
  /// The first time it may throw std::system_error if there is no thread or no descriptor to be had, and std::bad_alloc.
  Reactor& get() {
    if (Reactor* const known = known_.load(std::memory_order_acquire)) return *known;
    const std::lock_guard lock{mutex_};
    if (!reactor_) reactor_ = Reactor::shared();
    known_.store(reactor_.get(), std::memory_order_release);
    return *reactor_;
  }

  /// Whether the caller is its thread, or one of its workers'.
  bool runs_this_thread() const noexcept {
    Reactor* const known = known_.load(std::memory_order_acquire);
    return known != nullptr && (known->runs_this_thread() || known->workers().runs_this_thread());
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<Reactor> reactor_;
  std::atomic<Reactor*> known_{nullptr};
};

}  // namespace redismutex::net
