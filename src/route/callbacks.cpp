#include "route/callbacks.hpp"

#include <exception>
#include <redismutex/printable.hpp>
#include <utility>

namespace redismutex::route {

Callbacks::Callbacks(std::function<void(std::string_view)> log, std::shared_ptr<Observer> observer)
    : log_{std::move(log)}, observer_{std::move(observer)} {}

Callbacks::~Callbacks() = default;

void Callbacks::get_ready() { reactor_.get().workers().get_ready(); }

void Callbacks::run(std::unique_ptr<net::Job> job) noexcept {
  if (inherited()) return net::leave_alone(std::move(job));
  reactor_.get().workers().post(std::move(job));
}

void Callbacks::log(std::string sentence) noexcept {
  if (!log_ || inherited()) return;
  try {
    get_ready();
    std::unique_lock lock{mutex_};
    const std::size_t waiting = to_log_.jobs.size();
    if (waiting >= most_sentences) return;
    if (waiting + 1 == most_sentences) sentence = "the log takes too long: some sentences are left out here";
    append(to_log_, make_job([this, sentence = std::move(sentence)] { log_here(sentence); }), lock);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory, no thread
  }
}

void Callbacks::add(std::unique_ptr<net::Job> event) {
  if (inherited()) return net::leave_alone(std::move(event));
  std::unique_lock lock{mutex_};
  if (to_observer_.jobs.size() < most_events) return append(to_observer_, std::move(event), lock);
  lock.unlock();  // the event goes without it
}

/// With the lock, which is let go of.
void Callbacks::append(InTurn& turns, std::unique_ptr<net::Job> job, std::unique_lock<std::mutex>& lock) {
  std::unique_ptr<net::Job> runner;
  if (!turns.running) runner = make_job([self = shared_from_this(), &turns] { self->run_all(turns); });
  turns.jobs.push_back(std::move(job));
  turns.running = true;
  lock.unlock();
  if (runner) run(std::move(runner));
}

void Callbacks::run_all(InTurn& turns) noexcept {
  std::unique_lock lock{mutex_};
  while (!turns.jobs.empty()) {
    std::unique_ptr<net::Job> job = std::move(turns.jobs.front());
    turns.jobs.pop_front();
    lock.unlock();
    job->run();
    job.reset();
    lock.lock();
  }
  turns.running = false;
}

void Callbacks::log_here(std::string_view sentence) const noexcept {
  if (!log_) return;
  try {
    log_(printable(sentence));
  } catch (...) {  // NOLINT(bugprone-empty-catch): a log that can not be written is no reason to lose a lock
  }
}

}  // namespace redismutex::route
