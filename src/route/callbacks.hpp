#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <redismutex/observer.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "net/fork.hpp"
#include "net/workers.hpp"

namespace redismutex::route {

/// A piece of users' code, to be run once.
using net::Job;

/// One that calls `run`, which must not throw.
template <class Run>
std::unique_ptr<Job> make_job(Run run) {
  class Made final : public Job {
   public:
    explicit Made(Run run) : run_{std::move(run)} {}
    void run() noexcept override { run_(); }

   private:
    Run run_;
  };
  return std::make_unique<Made>(std::move(run));
}

/// Calls users' code for one Connection in threads made for that: callbacks of stop_tokens, the Observer, the log.
/// There none delays the news of another lock, and each may let go of anything, its own Connection included. Lives as
/// long as something is to be told, also when the Connection is gone: nobody waits for users' code. Owned by
/// shared_ptrs, of which the thread that calls a function here has one. Thread-safe.
class Callbacks : public std::enable_shared_from_this<Callbacks> {
 public:
  /// Either may be none.
  Callbacks(std::function<void(std::string_view)> log, std::shared_ptr<Observer> observer);
  virtual ~Callbacks();
  Callbacks(const Callbacks&) = delete;
  Callbacks& operator=(const Callbacks&) = delete;

  /// Starts a thread, so that run() does not have to. Throws std::system_error if there is none to be had, and
  /// std::bad_alloc.
  virtual void get_ready();

  /// Has a job run and destroyed in one of the threads: see net::Workers::post. To be called after get_ready(). May be
  /// called with locks held.
  virtual void run(std::unique_ptr<net::Job> job) noexcept;

  /// Tells the log, if there is one, in one of the threads: one sentence at a time, in the order of the calls. May be
  /// called with locks held. A sentence is lost if there is no memory for it, or no thread. At most so many wait, of
  /// which the last says that others were left out.
  void log(std::string sentence) noexcept;
  static constexpr std::size_t most_sentences = 1000;

  /// Tells the log, if there is one, in the caller's thread. To be called with no lock held.
  void log_here(std::string_view sentence) const noexcept;

  bool has_log() const noexcept { return log_ != nullptr; }

  /// None if nobody wants to be told.
  Observer* observer() const noexcept { return observer_.get(); }

  /// Has `tell` called with the Observer, if there is one, in one of the threads: one after the other, in the order of the calls, so
  /// that one who does not return takes one thread. Left out while so many wait. To be called after get_ready(). Throws std::bad_alloc.
  template <class Tell>
  void tell_observer(Tell tell) {
    if (observer_) add(make_job([this, tell = std::move(tell)] { tell(*observer_); }));
  }
  static constexpr std::size_t most_events = 1000;

  /// The same, in a thread of its own, and never left out: what `tell` owns is not kept by those that wait before it.
  template <class Tell>
  void tell_observer_apart(Tell tell) {
    if (observer_) run(make_job([self = shared_from_this(), tell = std::move(tell)] { tell(*self->observer_); }));
  }

 private:
  bool inherited() const noexcept { return generation_ != net::fork_generation(); }

  /// Jobs that are run one at a time.
  struct InTurn {
    std::deque<std::unique_ptr<net::Job>> jobs;
    bool running = false;  // a job that runs them waits or runs
  };
  void add(std::unique_ptr<net::Job> event);
  void append(InTurn& turns, std::unique_ptr<net::Job> job, std::unique_lock<std::mutex>& lock);
  void run_all(InTurn& turns) noexcept;

  const std::uint64_t generation_ = net::fork_generation();
  const std::function<void(std::string_view)> log_;
  const std::shared_ptr<Observer> observer_;
  net::ReactorOnDemand reactor_;

  std::mutex mutex_;  // guards what follows
  InTurn to_log_;
  InTurn to_observer_;
};

}  // namespace redismutex::route
