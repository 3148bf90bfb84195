#include "engine/caretaker.hpp"

#include <algorithm>
#include <exception>
#include <new>
#include <optional>
#include <random>
#include <redismutex/observer.hpp>
#include <variant>

#include "engine/clock.hpp"
#include "engine/session.hpp"
#include "engine/tenure.hpp"
#include "net/pause.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;
using std::chrono::milliseconds;

constexpr Instant never = Instant::max();

// A lock that is given back sooner needs nobody to look after it, and its key need not be tracked.
constexpr milliseconds first_visit_after{5};

constexpr milliseconds first_retry{20};
constexpr milliseconds longest_retry{500};

double random_between(double low, double high) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::uniform_real_distribution<double>{low, high}(random);
}

std::chrono::nanoseconds times(std::chrono::nanoseconds duration, double factor) {
  return std::chrono::nanoseconds{
      static_cast<std::chrono::nanoseconds::rep>(static_cast<double>(duration.count()) * factor)};
}

/// How much too early a renewal may be, to go along with others.
std::chrono::nanoseconds slack(milliseconds renew_to) { return std::chrono::nanoseconds{renew_to} / 30; }

}  // namespace

Caretaker::Caretaker(Session& session) : session_{session} {}

Caretaker::~Caretaker() { stop(); }

void Caretaker::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_.request_stop();
  }
  timer_.reset();
  rounds_.reset();
}

void Caretaker::get_ready() {
  const std::lock_guard lock{mutex_};
  start();
}

/// With the lock held; once.
void Caretaker::start() {
  if (stopping_.stop_requested() || timer_) return;
  net::Reactor& reactor = session_.reactor();
  reactor.workers().get_ready();
  if (!rounds_) rounds_.emplace(reactor.workers(), [this] { make_rounds(); });
  timer_.emplace(reactor, [this] { time_is_up(); });
}

Caretaker::Ticket Caretaker::take(const std::shared_ptr<Tenure>& tenure, const Care& care) {
  const std::lock_guard lock{mutex_};
  start();
  const Ticket ticket = ++last_ticket_;
  Ward& ward = wards_.emplace(ticket, Ward{.tenure = tenure, .key = tenure->key().text(), .care = care, .due = never})
                   .first->second;
  try {
    by_key_.emplace(ward.key, ticket);
    set_due(ticket, ward, now() + first_visit_after);
  } catch (...) {
    remove(ticket);
    throw;
  }
  if (!stopping_.stop_requested()) timer_->set_no_later_than(ward.due.time_since_epoch());
  return ticket;
}

void Caretaker::forget(Ticket ticket) {
  const std::lock_guard lock{mutex_};
  remove(ticket);
}

/// With the lock held.
void Caretaker::remove(Ticket ticket) {
  const auto place = wards_.find(ticket);
  if (place == wards_.end()) return;
  set_due(ticket, place->second, never);
  const auto [first, last] = by_key_.equal_range(place->second.key);
  const auto entry = std::find_if(first, last, [ticket](const auto& one) { return one.second == ticket; });
  if (entry != last) by_key_.erase(entry);
  wards_.erase(place);
}

void Caretaker::key_changed(std::string_view key) {
  const std::lock_guard lock{mutex_};
  const auto [first, last] = by_key_.equal_range(key);
  if (first == last) return;
  for (auto entry = first; entry != last; ++entry) set_due(entry->second, wards_.at(entry->second), now());
  wake();
}

void Caretaker::all_changed() {
  const std::lock_guard lock{mutex_};
  if (wards_.empty()) return;
  make_all_due();
  wake();
}

void Caretaker::make_all_due() {
  const Instant here = now();
  for (auto& [ticket, ward] : wards_) set_due(ticket, ward, here);
}

void Caretaker::set_due(Ticket ticket, Ward& ward, Instant due) {
  if (due != never && due != ward.due) agenda_.emplace(due, ticket);  // first: it may throw
  if (ward.due != never && due != ward.due) agenda_.erase({ward.due, ticket});
  ward.due = due;
}

void Caretaker::link_broke() noexcept {
  const std::lock_guard lock{mutex_};
  if (wards_.empty()) return;
  reach_for_server_ = true;
  wake();
}

/// With the lock held.
void Caretaker::wake() noexcept {
  if (!stopping_.stop_requested() && rounds_) rounds_->post();
}

// ---- rounds ---------------------------------------------------------------------------------------------------------

/// In the reactor's thread. A program that takes one lock after the other wakes no worker for each: those that are given back soon
/// are forgotten when their time comes.
void Caretaker::time_is_up() {
  const std::lock_guard lock{mutex_};
  if (stopping_.stop_requested()) return;
  const bool is_due = !agenda_.empty() && agenda_.begin()->first <= now();
  if (is_due || reach_for_server_ || wards_.empty()) return wake();
  if (!agenda_.empty()) timer_->set_no_later_than(agenda_.begin()->first.time_since_epoch());
}

/// In a worker: until nothing is due.
void Caretaker::make_rounds() noexcept {
  try {
    while (make_round()) continue;
  } catch (const std::exception&) {  // no memory: what was due is so still
    const std::lock_guard lock{mutex_};
    if (!stopping_.stop_requested()) timer_->set_no_later_than((now() + first_retry).time_since_epoch());
  }
}

/// Whether there may be more to do.
bool Caretaker::make_round() {
  std::unique_lock lock{mutex_};
  if (stopping_.stop_requested()) return false;
  Visits visits = gather(now());
  if (visits.empty()) return rest(lock);
  lock.unlock();
  try {
    visit(visits);
  } catch (const std::exception&) {
    make_due_again(visits);
  }
  return true;
}

/// Without fail: else they would not be renewed any more.
void Caretaker::make_due_again(const Visits& visits) {
  for (bool done = false; !done && !stopping_.stop_requested();) {
    try {
      retry(visits);
      done = true;
    } catch (const std::bad_alloc&) {
      net::pause_until(std::chrono::steady_clock::now() + first_retry, stopping_.get_token());
    }
  }
}

/// With the lock held: what is due now, or so soon that it can go along.
Caretaker::Visits Caretaker::gather(Instant now) {
  Visits visits;
  if (agenda_.empty() || agenda_.begin()->first > now) return visits;
  for (const auto& [due, ticket] : agenda_) {
    const Ward& ward = wards_.at(ticket);
    if (due > now + longest_retry || visits.size() == protocol::ExtendMany::most_items) break;
    if (due > now + slack(ward.care.renew_to)) continue;
    visits.push_back({.ticket = ticket, .tenure = ward.tenure.lock(), .care = ward.care, .renew_to = {}});
  }
  for (const Visit& visit : visits) set_due(visit.ticket, wards_.at(visit.ticket), never);
  return visits;
}

/// Without the lock, because a tenure has one of its own, under which it may come to us: decides what to do for each, and
/// drops those for which there is nothing left to do.
void Caretaker::prepare(Visits& visits, Instant now) {
  std::erase_if(visits, [&](Visit& visit) {
    if (!visit.tenure) return true;
    const Instant until = visit.tenure->valid_until();
    if (until <= now) {
      report_loss(visit.tenure);
      return true;
    }
    const Instant wanted = std::min(now + visit.care.renew_to, visit.care.no_longer_than);
    if (visit.care.renew_to.count() > 0 && wanted > until)
      visit.renew_to = std::chrono::floor<milliseconds>(wanted - now);
    return false;
  });
}

void Caretaker::visit(Visits& visits) {
  prepare(visits, now());
  if (visits.empty()) return;
  std::vector<protocol::ExtendMany::Item> items;
  items.reserve(visits.size());
  net::Deadline deadline = session_.patience();
  for (const Visit& visit : visits) {
    items.push_back({&visit.tenure->key(), &visit.tenure->id(), visit.renew_to});
    if (visit.renew_to.count() > 0) deadline = std::min(deadline, deadline_at(visit.tenure->valid_until()));
  }
  protocol::ExtendMany machine{std::move(items), protocol::Tracking::on};
  if (session_.run(machine, deadline, stopping_.get_token())) return retry(visits);
  if (const auto* refusal = std::get_if<protocol::Refusal>(&machine.outcome())) {
    // Most of what a server refuses for now it will do a little later, and the leases are not lost yet.
    if (failures_ == 0)
      session_.log("locks could not be renewed and will be tried again; the server said: " + refusal->text);
    return retry(visits);
  }
  take_in(visits, machine);
}

void Caretaker::take_in(const Visits& visits, const protocol::ExtendMany& machine) {
  const auto& fates = std::get<std::vector<protocol::ExtendMany::Fate>>(machine.outcome());
  Observer* const observer = session_.observer();
  for (std::size_t i = 0; i < visits.size(); ++i) {
    Tenure& tenure = *visits[i].tenure;
    if (const auto* extended = std::get_if<protocol::Extend::Extended>(&fates[i])) {
      tenure.conclude_renewal(visits[i].renew_to, *extended);
      if (observer != nullptr) observer->renewed(tenure.key().text(), protocol::time_left(tenure.valid_until(), now()));
    } else if (std::holds_alternative<protocol::Extend::Gone>(fates[i])) {
      tenure.note_gone();
      report_loss(visits[i].tenure);
    }
  }
  // The next round, for all of them at the same time.
  const double share = random_between(0.28, 1.0 / 3);
  const Instant here = now();
  const std::lock_guard lock{mutex_};
  failures_ = 0;
  for (std::size_t i = 0; i < visits.size(); ++i) {
    const Visit& visit = visits[i];
    const auto place = wards_.find(visit.ticket);
    if (place == wards_.end() || std::holds_alternative<protocol::Extend::Gone>(fates[i])) continue;
    if (place->second.due != never) continue;  // its key was changed meanwhile
    if (visit.renew_to.count() > 0) {
      set_due(visit.ticket, place->second, here + times(visit.care.renew_to, share));
    } else if (visit.care.renew_to.count() > 0) {
      set_due(visit.ticket, place->second, visit.care.no_longer_than);  // to tell of the end
    }
  }
}

/// In the thread of the timers, because callbacks may take longer than the other wards can wait.
void Caretaker::report_loss(const std::shared_ptr<Tenure>& tenure) {
  session_.timers().schedule(now(), [tenure]() -> std::optional<Instant> {
    tenure->lose();
    return std::nullopt;
  });
}

void Caretaker::retry(const Visits& visits) {
  const std::lock_guard lock{mutex_};
  const Instant again = now() + net::jittered_pause(failures_++, first_retry, longest_retry);
  for (const Visit& visit : visits) {
    const auto place = wards_.find(visit.ticket);
    if (place != wards_.end()) set_due(visit.ticket, place->second, again);
  }
}

// ---- between visits -------------------------------------------------------------------------------------------------

/// Nothing is due. As long as there are wards there is to be a connection, because the server may have something to tell.
bool Caretaker::rest(std::unique_lock<std::mutex>& lock) {
  const Instant until = agenda_.empty() ? never : agenda_.begin()->first;
  const bool has_wards = !wards_.empty();
  reach_for_server_ = false;
  lock.unlock();
  std::shared_ptr<net::Link> link;
  if (has_wards) {
    const auto reached = session_.link(deadline_at(std::min(until, now() + longest_retry)), stopping_.get_token());
    if (const auto* live = std::get_if<std::shared_ptr<net::Link>>(&reached)) link = *live;
    listen_at(link);
    lock.lock();
    if (stopping_.stop_requested()) return false;
    if (!link) {
      reach_for_server_ = true;
      timer_->set_no_later_than((now() + longest_retry).time_since_epoch());
    } else if (link->id() != link_id_) {
      // The server tracks for a connection, and forgets with it.
      link_id_ = link->id();
      make_all_due();
      return true;
    }
  } else {
    listen_at(nullptr);
    lock.lock();
    if (stopping_.stop_requested()) return false;
  }
  if (!agenda_.empty()) timer_->set_no_later_than(agenda_.begin()->first.time_since_epoch());
  return false;
}

/// Has what the server tells us be read there while no caller reads; none: nowhere.
void Caretaker::listen_at(const std::shared_ptr<net::Link>& link) {
  const std::shared_ptr<net::Link> before = listened_to_.lock();
  if (before == link) return;
  if (before) before->want_pushes(false);
  if (link) link->want_pushes(true);
  listened_to_ = link;
}

}  // namespace redismutex::engine
