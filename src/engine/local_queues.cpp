#include "engine/local_queues.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "engine/clock.hpp"
#include "engine/tenure.hpp"

namespace redismutex::engine {
namespace {

// Whoever is next has the server watch the key of the one inside, because somebody might delete it; but only after this
// time, because usually its turn comes sooner.
constexpr std::chrono::milliseconds before_watching{20};

}  // namespace

LocalQueues::LocalQueues() { register_for_fork(); }

LocalQueues::~LocalQueues() { unregister_for_fork(); }

LocalQueues::Shard& LocalQueues::shard_of(const protocol::Key& key) {
  return shards_[std::hash<std::string>{}(key.text()) % shards_.size()];
}

LocalQueues::Turn LocalQueues::enter(const protocol::Key& key, net::Deadline deadline, const std::stop_token& stop,
                                     const std::function<void()>& on_wait) {
  Shard& shard = shard_of(key);
  std::unique_lock lock{shard.mutex};
  const auto [place, opened] = shard.lines.try_emplace(key.text());
  if (!opened) return wait(shard, place->second, lock, deadline, stop, on_wait);
  place->second.first = ++shard.last_ticket;
  return {.kind = Turn::Kind::first, .ticket = place->second.first};
}

/// A line exists as long as somebody waits in it.
LocalQueues::Turn LocalQueues::wait(Shard& shard, Line& line, std::unique_lock<std::mutex>& lock,
                                    net::Deadline deadline, const std::stop_token& stop,
                                    const std::function<void()>& on_wait) {
  Waiter self;
  const auto place = line.waiters.insert(line.waiters.end(), &self);
  lock.unlock();
  on_wait();
  lock.lock();
  for (;;) {
    // The one behind the one inside watches the end of that lease.
    const bool is_next = line.waiters.front() == &self && line.until;
    const bool watches = is_next && self.looked_at != line.first;
    net::Deadline until = deadline;
    if (is_next) until = std::min(until, deadline_at(*line.until));
    if (watches) until = std::min(until, deadline_at(line.since + before_watching));
    self.poked = false;
    self.changed.wait_until(lock, stop, until, [&self] { return self.turn || self.poked; });
    if (self.turn) return std::move(*self.turn);
    const bool stopped = stop.stop_requested();
    if (stopped || std::chrono::steady_clock::now() >= deadline) {
      line.waiters.erase(place);
      poke_next(line);
      return {.kind = stopped ? Turn::Kind::stopped : Turn::Kind::timed_out};
    }
    if (line.waiters.front() != &self || !line.until) continue;
    const protocol::Instant here = now();
    if (here >= *line.until) {
      line.until.reset();
      promote(shard, line, {.kind = Turn::Kind::first});
      return std::move(*self.turn);
    }
    if (self.looked_at != line.first && here >= line.since + before_watching) look_after(line, self, lock);
  }
}

void LocalQueues::look_after(Line& line, Waiter& self, std::unique_lock<std::mutex>& lock) {
  self.looked_at = line.first;
  const std::shared_ptr<Tenure> inside = line.inside.lock();
  lock.unlock();
  if (inside) inside->look_after({});
  lock.lock();
}

void LocalQueues::promote(Shard& shard, Line& line, Turn turn) {
  Waiter* next = line.waiters.front();
  line.waiters.pop_front();
  line.first = turn.ticket = ++shard.last_ticket;
  next->turn = std::move(turn);
  next->changed.notify_one();
  poke_next(line);
}

void LocalQueues::poke_next(Line& line) {
  if (line.waiters.empty()) return;
  line.waiters.front()->poked = true;
  line.waiters.front()->changed.notify_one();
}

void LocalQueues::note_inside(const protocol::Key& key, Ticket ticket, const std::shared_ptr<Tenure>& tenure) {
  Shard& shard = shard_of(key);
  const protocol::Instant until = tenure->valid_until();
  const std::lock_guard lock{shard.mutex};
  const auto place = shard.lines.find(key.text());
  if (place == shard.lines.end() || place->second.first != ticket) return;
  place->second.until = until;
  place->second.since = now();
  place->second.inside = tenure;
  poke_next(place->second);
}

void LocalQueues::note_until(const protocol::Key& key, Ticket ticket, protocol::Instant until) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock{shard.mutex};
  const auto place = shard.lines.find(key.text());
  if (place == shard.lines.end() || place->second.first != ticket) return;
  place->second.until = until;
  poke_next(place->second);
}

bool LocalQueues::has_next(const protocol::Key& key, Ticket ticket) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock{shard.mutex};
  const auto place = shard.lines.find(key.text());
  return place != shard.lines.end() && place->second.first == ticket && !place->second.waiters.empty();
}

std::unique_ptr<Lease> LocalQueues::pass(const protocol::Key& key, Ticket ticket, std::unique_ptr<Lease> lease) {
  Shard& shard = shard_of(key);
  const protocol::Instant until = lease->valid_until();
  const std::lock_guard lock{shard.mutex};
  const auto place = shard.lines.find(key.text());
  if (place == shard.lines.end() || place->second.first != ticket || place->second.waiters.empty()) return lease;
  lease->note_pass();
  place->second.until = until;
  place->second.since = now();
  place->second.inside.reset();
  promote(shard, place->second, {.kind = Turn::Kind::handed, .lease = std::move(lease)});
  return nullptr;
}

void LocalQueues::leave(const protocol::Key& key, Ticket ticket) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock{shard.mutex};
  const auto place = shard.lines.find(key.text());
  if (place == shard.lines.end() || place->second.first != ticket) return;
  if (place->second.waiters.empty()) {
    shard.lines.erase(place);
  } else {
    place->second.until.reset();
    promote(shard, place->second, {.kind = Turn::Kind::first});
  }
}

void LocalQueues::before_fork() noexcept {
  for (Shard& shard : shards_) shard.mutex.lock();
}

void LocalQueues::after_fork_in_parent() noexcept {
  for (Shard& shard : shards_) shard.mutex.unlock();
}

void LocalQueues::after_fork_in_child() noexcept {
  for (Shard& shard : shards_) {
    // The threads in these lines are the parent's. Whoever has a ticket here finds it gone.
    shard.lines.clear();
    shard.mutex.unlock();
  }
}

}  // namespace redismutex::engine
