#include "net/workers.hpp"

#include <exception>
#include <utility>

#include "net/thread.hpp"

namespace redismutex::net {
namespace {

thread_local const Workers* working_for = nullptr;

}  // namespace

Workers::Workers(Reactor& reactor) : look_{reactor, [this] { look(); }} {}

Workers::~Workers() {
  std::unique_lock lock{mutex_};
  ending_ = true;
  posted_.notify_all();
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

// ---- tasks ----------------------------------------------------------------------------------------------------------

Workers::Task::Task(Workers& workers, std::function<void()> run) : workers_{workers}, run_{std::move(run)} {}

Workers::Task::~Task() { withdraw(); }

void Workers::Task::post() noexcept {
  const std::lock_guard lock{workers_.mutex_};
  if (state_ == State::idle) workers_.append(*this);
  if (state_ == State::running) state_ = State::to_run_again;
}

void Workers::Task::withdraw() noexcept {
  std::unique_lock lock{workers_.mutex_};
  if (state_ == State::waiting) {
    own_place_.splice(own_place_.end(), workers_.waiting_, place_);
    state_ = State::idle;
  }
  if (state_ == State::to_run_again) state_ = State::running;
  workers_.one_is_through_.wait(lock, [this] { return state_ == State::idle; });
}

/// With the lock held.
void Workers::append(Task& task) noexcept {
  task.state_ = Task::State::waiting;
  waiting_.splice(waiting_.end(), task.own_place_);
  if (idle_ >= waiting_.size()) {
    posted_.notify_one();
  } else {
    look_.set_no_later_than(boot_now() + patience);
  }
}

/// In the reactor's thread: what was posted some time ago waits still, or something else does.
void Workers::look() {
  const std::lock_guard lock{mutex_};
  if (waiting_.size() <= idle_ || ending_) return;
  try {
    if (threads_.size() < most_threads) start();
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): those that are there go on
  }
  look_.set(boot_now() + patience);
}

// ---- a thread -------------------------------------------------------------------------------------------------------

void Workers::run(Threads::iterator self) {
  working_for = this;
  Threads before;  // to be joined by this one
  std::unique_lock lock{mutex_};
  --idle_;
  while (Task* const task = next(lock)) {
    task->own_place_.splice(task->own_place_.end(), waiting_, task->place_);
    task->state_ = Task::State::running;
    lock.unlock();
    task->run_();
    lock.lock();
    const bool again = task->state_ == Task::State::to_run_again;
    task->state_ = Task::State::idle;
    if (again) append(*task);
    one_is_through_.notify_all();
  }
  before.swap(ended_);
  ended_.splice(ended_.end(), threads_, self);
  one_is_through_.notify_all();
  lock.unlock();
  for (Thread& thread : before) thread.join();
}

/// The task that has waited longest. None: this thread is to end.
Workers::Task* Workers::next(std::unique_lock<std::mutex>& lock) {
  while (waiting_.empty()) {
    if (ending_) return nullptr;
    ++idle_;
    const bool one_of_many = threads_.size() > 1;
    bool woken = true;
    if (one_of_many) {
      woken = posted_.wait_for(lock, idle_time) == std::cv_status::no_timeout;
    } else {
      posted_.wait(lock);
    }
    --idle_;
    if (!woken && waiting_.empty() && threads_.size() > 1) return nullptr;
  }
  return waiting_.front();
}

}  // namespace redismutex::net
