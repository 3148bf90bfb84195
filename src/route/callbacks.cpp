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
    add(std::move(sentence));
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory, no thread
  }
}

void Callbacks::add(std::string sentence) {
  const std::lock_guard lock{mutex_};
  if (sentences_.size() >= most_sentences) return;
  if (sentences_.size() + 1 == most_sentences) sentence = "the log takes too long: some sentences are left out here";
  std::unique_ptr<net::Job> job;
  if (!telling_) job = make_job([self = shared_from_this()] { self->tell_log(); });
  sentences_.push_back(std::move(sentence));
  if (!job) return;
  telling_ = true;
  run(std::move(job));
}

void Callbacks::tell_log() noexcept {
  std::unique_lock lock{mutex_};
  while (!sentences_.empty()) {
    const std::string sentence = std::move(sentences_.front());
    sentences_.pop_front();
    lock.unlock();
    log_here(sentence);
    lock.lock();
  }
  telling_ = false;
}

void Callbacks::log_here(std::string_view sentence) const noexcept {
  if (!log_) return;
  try {
    log_(printable(sentence));
  } catch (...) {  // NOLINT(bugprone-empty-catch): a log that can not be written is no reason to lose a lock
  }
}

}  // namespace redismutex::route
