#include "engine/local_queues.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <utility>

#include "engine/clock.hpp"
#include "engine/tenure.hpp"

namespace redismutex::engine {
namespace {

// The server is asked to watch the key of the one inside, because somebody might delete it; but only after this time,
// because usually that one is gone sooner.
constexpr std::chrono::milliseconds before_watching{20};

}  // namespace

/// When the watchman has to do something.
protocol::Instant LocalQueues::Line::next_look() const {
  return key_is_watched ? *until : std::min(*until, since + before_watching);
}

LocalQueues::Shard& LocalQueues::shard_of(const protocol::Key& key) {
  return shards_[Hash{}(key.text()) % shards_.size()];
}

/// Makes it the first one's.
LocalQueues::Ticket LocalQueues::Line::next_ticket() {
  Ticket ticket;
  ticket.line_ = shared_from_this();
  ticket.number_ = ++first;
  return ticket;
}

LocalQueues::Turn LocalQueues::enter(const protocol::Key& key, net::Deadline deadline, const std::stop_token& stop,
                                     const std::function<void()>& on_wait) {
  Shard& shard = shard_of(key);
  std::unique_lock lock{shard.mutex};
  if (const auto place = shard.lines.find(key.text()); place != shard.lines.end()) {
    return wait(*place->second, lock, deadline, stop, on_wait);
  }
  const auto line = std::make_shared<Line>(shard, key.text());
  shard.lines.emplace(line->key, line);
  return {.kind = Turn::Kind::first, .ticket = line->next_ticket()};
}

/// A line exists as long as somebody waits in it.
LocalQueues::Turn LocalQueues::wait(Line& line, std::unique_lock<std::mutex>& lock, net::Deadline deadline,
                                    const std::stop_token& stop, const std::function<void()>& on_wait) {
  Waiter self;
  const auto place = line_up(line, self);
  if (on_wait) {
    lock.unlock();
    on_wait();
    lock.lock();
  }
  const auto on_stop = [&self] { self.bell.ring_and_wake(); };
  std::optional<std::stop_callback<decltype(on_stop)>> registration;
  if (stop.stop_possible()) registration.emplace(stop, on_stop);
  for (;;) {
    self.sleeps_until = awake;
    if (self.turn) return std::move(*self.turn);
    const bool stopped = stop.stop_requested();
    if (stopped || std::chrono::steady_clock::now() >= deadline) {
      Wakeups wakeups;
      leave_line(line, place, wakeups);
      return {.kind = stopped ? Turn::Kind::stopped : Turn::Kind::timed_out};
    }
    self.sleeps_until = deadline;
    if (line.watchman == &self) self.sleeps_until = std::min(deadline, watch(line, lock));
    if (self.turn) return std::move(*self.turn);
    const net::Deadline until = self.sleeps_until;
    lock.unlock();
    if (self.bell.sleep(until)) return std::move(*self.turn);
    lock.lock();
  }
}

/// The watchman's duty, with the lock held but for a moment; returns when to do it again. When the lease of the one inside
/// has ended, the next one goes to the server. Before, the server is asked to tell when somebody changes the key.
net::Deadline LocalQueues::watch(Line& line, std::unique_lock<std::mutex>& lock) {
  if (!line.until) return net::Deadline::max();
  const protocol::Instant here = now();
  if (here >= *line.until) {
    Wakeups wakeups;
    line.until.reset();
    promote(line, {.kind = Turn::Kind::first}, wakeups);
    return net::Deadline::max();
  }
  if (!line.key_is_watched && here >= line.since + before_watching) {
    line.key_is_watched = true;
    const std::shared_ptr<Tenure> inside = line.inside.lock();
    lock.unlock();
    try {
      if (inside) inside->look_after({});
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): then a change is noticed when the lease ends
    }
    lock.lock();
    return awake;  // whatever has happened meanwhile
  }
  return deadline_at(line.next_look());
}

/// Gives the first waiter its turn.
void LocalQueues::promote(Line& line, Turn turn, Wakeups& wakeups) {
  Waiter* const next = line.waiters.front();
  line.waiters.pop_front();
  line.has_waiters = !line.waiters.empty();
  turn.ticket = line.next_ticket();
  next->turn = std::move(turn);
  const bool was_watchman = line.watchman == next;
  wakeups.add(next->bell, Bell::Ring::for_good);  // and it is gone
  if (was_watchman) appoint_watchman(line, wakeups);
}

/// Not inlined: g++ 12 takes the waiter for one that the line keeps when its frame is gone. It leaves the line before.
[[gnu::noinline]] LocalQueues::Place LocalQueues::line_up(Line& line, Waiter& waiter) {
  const auto place = line.waiters.insert(line.waiters.end(), &waiter);
  line.has_waiters = true;
  if (line.watchman == nullptr) line.watchman = &waiter;
  return place;
}

void LocalQueues::leave_line(Line& line, Place place, Wakeups& wakeups) {
  const Waiter* const leaver = *place;
  line.waiters.erase(place);
  line.has_waiters = !line.waiters.empty();
  if (line.watchman == leaver) appoint_watchman(line, wakeups);
}

/// The last in line, because its own turn is the furthest away: so a lock that goes from hand to hand wakes somebody for
/// this only once in a while.
void LocalQueues::appoint_watchman(Line& line, Wakeups& wakeups) {
  line.watchman = line.waiters.empty() ? nullptr : line.waiters.back();
  tell_watchman(line, wakeups);
}

/// That the one inside, or its lease, is another. A lease that ends later than the watchman knows is found out then.
void LocalQueues::tell_watchman(Line& line, Wakeups& wakeups) {
  if (line.watchman == nullptr || !line.until) return;
  if (line.watchman->sleeps_until > deadline_at(line.next_look())) wakeups.add(line.watchman->bell);
}

void LocalQueues::note_inside(const Ticket& ticket, const std::shared_ptr<Tenure>& tenure) {
  Line& line = *ticket.line_;
  const protocol::Instant until = tenure->valid_until();
  Wakeups wakeups;
  const std::lock_guard lock{line.shard.mutex};
  if (line.first != ticket.number_) return;
  line.until = until;
  line.since = tenure->began();
  line.inside = tenure;
  line.key_is_watched = false;
  tell_watchman(line, wakeups);
}

void LocalQueues::note_until(const Ticket& ticket, protocol::Instant until) {
  Line& line = *ticket.line_;
  Wakeups wakeups;
  const std::lock_guard lock{line.shard.mutex};
  if (line.first != ticket.number_) return;
  line.until = until;
  tell_watchman(line, wakeups);
}

bool LocalQueues::has_next(const Ticket& ticket) noexcept { return ticket.line_->has_waiters; }

std::unique_ptr<Lease> LocalQueues::pass(const Ticket& ticket, std::unique_ptr<Lease> lease) {
  Line& line = *ticket.line_;
  const protocol::Instant until = lease->valid_until();
  Wakeups wakeups;
  const std::lock_guard lock{line.shard.mutex};
  if (line.first != ticket.number_ || line.waiters.empty()) return lease;
  lease->note_pass();
  line.until = until;
  line.since = now();
  line.inside.reset();
  line.key_is_watched = false;
  promote(line, {.kind = Turn::Kind::handed, .lease = std::move(lease)}, wakeups);
  return nullptr;
}

void LocalQueues::leave(const Ticket& ticket) {
  Line& line = *ticket.line_;
  Wakeups wakeups;
  const std::lock_guard lock{line.shard.mutex};
  if (line.first != ticket.number_) return;
  line.until.reset();
  if (!line.waiters.empty()) return promote(line, {.kind = Turn::Kind::first}, wakeups);
  ++line.first;
  line.shard.lines.erase(line.key);
}

}  // namespace redismutex::engine
