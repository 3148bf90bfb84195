#include "engine/keeper.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

#include "engine/clock.hpp"

namespace redismutex::engine {

Keeper::~Keeper() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  timer_.reset();
  round_.reset();
  run_due();
}

void Keeper::get_ready() {
  const std::lock_guard lock{mutex_};
  start();
}

/// With the lock held; once.
void Keeper::start() {
  if (stopping_ || timer_) return;
  net::Reactor& reactor = reactor_.get();
  if (place_ == Place::workers) {
    reactor.workers().get_ready();
    if (!round_) round_.emplace(reactor.workers(), [this] { run_due(); });
  }
  timer_.emplace(reactor, [this] { time_is_up(); });
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
  if (!stopping_) timer_->set_no_later_than(due.time_since_epoch());
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

/// In the reactor's thread. What was cancelled meanwhile wakes no worker.
void Keeper::time_is_up() {
  if (place_ == Place::reactor) return run_due();
  const std::lock_guard lock{mutex_};
  if (stopping_ || agenda_.empty()) return;
  const protocol::Instant due = agenda_.begin()->first;
  if (due > now()) return timer_->set_no_later_than(due.time_since_epoch());
  round_->post();
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
  if (!stopping_ && !agenda_.empty()) timer_->set_no_later_than(agenda_.begin()->first.time_since_epoch());
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
