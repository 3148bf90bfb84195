#include "engine/keeper.hpp"

#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <system_error>

#include "engine/clock.hpp"
#include "net/thread.hpp"

namespace redismutex::engine {

Keeper::~Keeper() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    if (alarm_.valid()) set_alarm(now());
  }
  if (thread_.joinable()) thread_.join();
}

void Keeper::get_ready() {
  const std::lock_guard lock{mutex_};
  start();
}

/// With the lock held; once.
void Keeper::start() {
  if (thread_.joinable()) return;
  alarm_ = net::Descriptor{::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)};
  if (!alarm_.valid()) throw std::system_error{errno, std::generic_category(), "timerfd_create"};
  thread_ = net::start_thread([this] {
    thread_id_ = std::this_thread::get_id();
    run();
  });
}

Keeper::Ticket Keeper::schedule(protocol::Instant due, Work work) {
  const std::lock_guard lock{mutex_};
  start();
  const Ticket ticket = ++last_ticket_;
  const auto place = places_.emplace(ticket, agenda_.end()).first;
  try {
    place->second = agenda_.emplace(due, Entry{ticket, std::move(work)});
  } catch (...) {
    places_.erase(place);
    throw;
  }
  set_alarm(agenda_.begin()->first);
  return ticket;
}

void Keeper::cancel(Ticket ticket) {
  Agenda::node_type cancelled;  // destroyed without the lock: what it captured is not ours
  const std::lock_guard lock{mutex_};
  if (running_ == ticket) running_.reset();
  const auto place = places_.find(ticket);
  if (place == places_.end()) return;
  cancelled = agenda_.extract(place->second);
  places_.erase(place);
}

/// An alarm that is set already and goes off earlier stays: each time the thread wakes it sets the next.
void Keeper::set_alarm(protocol::Instant due) {
  if (due >= alarm_at_) return;
  alarm_at_ = due;
  // A time of zero would switch the alarm off.
  const auto at = std::max(due.time_since_epoch(), std::chrono::nanoseconds{1});
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
  const itimerspec setting{.it_interval = {},
                           .it_value = {.tv_sec = seconds.count(), .tv_nsec = (at - seconds).count()}};
  ::timerfd_settime(alarm_.get(), TFD_TIMER_ABSTIME, &setting, nullptr);
}

void Keeper::run() {
  for (;;) {
    pollfd polled{alarm_.get(), POLLIN, 0};
    ::poll(&polled, 1, -1);
    const bool last = is_stopping();
    run_due();
    if (last) return;
    const std::lock_guard lock{mutex_};
    if (stopping_) continue;  // the alarm has been set off for that
    std::uint64_t expirations = 0;
    static_cast<void>(::read(alarm_.get(), &expirations, sizeof expirations));
    alarm_at_ = protocol::Instant::max();
    if (!agenda_.empty()) set_alarm(agenda_.begin()->first);
  }
}

bool Keeper::is_stopping() {
  const std::lock_guard lock{mutex_};
  return stopping_;
}

void Keeper::run_due() {
  const protocol::Instant until = now();
  std::unique_lock lock{mutex_};
  while (!agenda_.empty() && agenda_.begin()->first <= until) {
    // What is taken out goes in again without an allocation.
    Agenda::node_type item = agenda_.extract(agenda_.begin());
    auto place = places_.extract(item.mapped().ticket);
    running_ = item.mapped().ticket;
    lock.unlock();
    const std::optional<protocol::Instant> again = run(item.mapped().work);
    lock.lock();
    if (again && running_) {
      item.key() = std::max(*again, until + std::chrono::nanoseconds{1});  // not again in this round
      place.mapped() = agenda_.insert(std::move(item));
      places_.insert(std::move(place));
    }
    running_.reset();
    lock.unlock();
    item = {};
    lock.lock();
  }
}

std::optional<protocol::Instant> Keeper::run(const Work& work) {
  constexpr std::chrono::milliseconds pause_after_exception{50};
  try {
    return work();
  } catch (const std::exception&) {
    return now() + pause_after_exception;
  }
}

}  // namespace redismutex::engine
