#include "net/workers.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "net/thread.hpp"

namespace redismutex::net {
namespace {

thread_local const Workers* working_for = nullptr;

}  // namespace

// ---- all of them ----------------------------------------------------------------------------------------------------

Workers::Workers(Reactor& reactor) : reactor_{reactor}, look_{reactor, [this] { look(); }} {}

Workers::~Workers() {
  std::unique_lock lock{mutex_};
  ending_ = true;
  posted_.notify_all();
  grow();  // this may be the thread that looks
  one_is_through_.wait(lock, [this] { return threads_.empty(); });
  Threads ended{std::move(ended_)};
  lock.unlock();
  for (Thread& thread : ended) thread.join();
}

void Workers::get_ready() {
  const std::lock_guard lock{mutex_};
  if (threads_.empty()) start();
}

bool Workers::runs_this_thread() const noexcept { return working_for == this; }

/// With the lock held.
void Workers::start() {
  const auto added = threads_.emplace(threads_.end());
  try {
    *added = Thread{[this, added] { run(added); }};
  } catch (...) {
    threads_.erase(added);
    throw;
  }
  ++idle_;  // or there would be one more for what is posted before it has started
}

/// With the lock held, by the one who looks and by each thread as it begins: so there come as many as are needed,
/// without holding up the reactor.
void Workers::grow() noexcept {
  if (ready() <= idle_) return;
  try {
    start();
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): those that are there go on, and look() comes again
  }
}

// ---- tasks ----------------------------------------------------------------------------------------------------------

Workers::Task::Task(Workers& workers, std::function<void()> run) : workers_{workers}, run_{std::move(run)} {}

Workers::Task::~Task() { withdraw(); }

void Workers::Task::post() noexcept {
  const std::lock_guard lock{workers_.mutex_};
  if (state_ == State::running) state_ = State::to_run_again;
  if (state_ != State::idle) return;
  state_ = State::waiting;
  workers_.append(workers_.tasks_, *this);
}

void Workers::Task::withdraw() noexcept {
  std::unique_lock lock{workers_.mutex_};
  if (state_ == State::waiting) {
    workers_.tasks_.waiting.remove(*this);
    state_ = State::idle;
  }
  if (state_ == State::to_run_again) state_ = State::running;
  workers_.one_is_through_.wait(lock, [this] { return state_ == State::idle; });
}

void Workers::Task::carry_out(std::unique_lock<std::mutex>& lock) noexcept {
  state_ = State::running;
  lock.unlock();
  run_();
  lock.lock();
  if (std::exchange(state_, State::idle) == State::to_run_again) {
    state_ = State::waiting;
    workers_.append(workers_.tasks_, *this);
  }
  workers_.one_is_through_.notify_all();
}

// ---- jobs -----------------------------------------------------------------------------------------------------------

void Workers::post(std::unique_ptr<Job> job) noexcept {
  job->reactor_ = reactor_.weak_from_this().lock();
  const std::lock_guard lock{mutex_};
  append(jobs_, *job.release());
}

void Job::carry_out(std::unique_lock<std::mutex>& lock) noexcept {
  lock.unlock();
  {
    const std::shared_ptr<Reactor> reactor = std::move(reactor_);
    const std::unique_ptr<Job> self{this};
    run();
  }
  lock.lock();
}

// ---- what waits -----------------------------------------------------------------------------------------------------

std::size_t Workers::Line::ready() const noexcept { return std::min(waiting.size(), most_at_a_time - running); }

/// There is one.
void Workers::carry_out_next(std::unique_lock<std::mutex>& lock) noexcept {
  Line& line = tasks_.ready() > 0 ? tasks_ : jobs_;
  Work& work = *line.waiting.first();
  line.waiting.remove(work);
  ++line.running;
  work.carry_out(lock);
  --line.running;
}

/// With the lock held.
void Workers::append(Line& line, Work& work) noexcept {
  line.waiting.append(work);
  if (idle_ >= ready()) {
    posted_.notify_one();
  } else {
    look_.set_no_later_than(boot_now() + patience);
  }
}

/// In the reactor's thread: what was posted some time ago waits still, or something else does.
void Workers::look() noexcept {
  const std::lock_guard lock{mutex_};
  if (ready() <= idle_) return;
  grow();
  look_.set(boot_now() + patience);
}

// ---- a thread -------------------------------------------------------------------------------------------------------

void Workers::run(Threads::iterator self) {
  working_for = this;
  Threads before;  // to be joined by this one
  std::unique_lock lock{mutex_};
  grow();  // for those that wait beside the one that this thread takes: it counts as idle still
  --idle_;
  while (has_next(lock)) carry_out_next(lock);
  before.swap(ended_);
  ended_.splice(ended_.end(), threads_, self);
  one_is_through_.notify_all();
  lock.unlock();
  for (Thread& thread : before) thread.join();
}

/// Waits for something to do. False: this thread is to end.
bool Workers::has_next(std::unique_lock<std::mutex>& lock) {
  while (ready() == 0) {
    if (ending_) return false;
    ++idle_;
    const bool one_of_many = threads_.size() > 1;
    bool woken = true;
    if (one_of_many) {
      woken = posted_.wait_for(lock, idle_time) == std::cv_status::no_timeout;
    } else {
      posted_.wait(lock);
    }
    --idle_;
    if (!woken && ready() == 0 && threads_.size() > 1) return false;
  }
  return true;
}

}  // namespace redismutex::net
