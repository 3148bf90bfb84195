#include "engine/renewer.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "engine/conversation.hpp"
#include "engine/labelling.hpp"
#include "engine/lease.hpp"
#include "engine/renewer_flight.hpp"
#include "engine/session.hpp"
#include "protocol/lease.hpp"
#include "route/callbacks.hpp"

namespace redismutex::engine {
namespace {

using protocol::ExtendMany;
using protocol::Instant;
using protocol::never;
using std::chrono::milliseconds;

// So many commands may be under way at once; and so many labels besides. In a cluster each slot has commands of its own, and many locks
// are in as many slots.
constexpr std::size_t most_flights = 32;
constexpr std::size_t most_flights_in_cluster = 2048;
constexpr std::size_t most_labels = 64;

// Until there is room for another label.
constexpr milliseconds until_there_is_room{5};

// Where there was no memory, or no turn.
constexpr milliseconds until_its_turn{20};

// Nothing goes along with others earlier than that.
constexpr milliseconds longest_slack{500};

}  // namespace

/// What waits for its turn.
struct Renewer::Ready {
  std::weak_ptr<Lease> lease;
  Lease::Visit visit;
  Instant planned_at;
  std::uint16_t slot;
  Replicas replicas;
  std::size_t together;

  /// Those of a slot of a cluster are together, because they go into one command, and those that so many replicas are to have.
  bool goes_with(const Ready& other) const noexcept {
    return slot == other.slot && replicas == other.replicas && together == other.together;
  }
  friend bool operator<(const Ready& one, const Ready& other) {
    if (one.slot != other.slot) return one.slot > other.slot;
    if (one.together != other.together) return one.together < other.together;
    if (one.replicas != other.replicas) return rank(one.replicas) > rank(other.replicas);
    return one.visit.until > other.visit.until;
  }

 private:
  static std::pair<Replicas::Kind, int> rank(Replicas replicas) noexcept { return {replicas.kind(), replicas.count()}; }
};

Renewer::Renewer(Session& session)
    : Rounds{session, session.router().cluster() == nullptr ? most_flights : most_flights_in_cluster},
      session_{session},
      labels_{std::make_shared<Labels>()} {}

Renewer::~Renewer() { close(); }

// ---- what is asked of it --------------------------------------------------------------------------------------------

bool Renewer::get_ready_if_possible() noexcept try { return enlist(); } catch (const std::exception&) {
  return false;
}

void Renewer::admit(Lease& lease) {
  const std::lock_guard lock{mutex_};
  if (lease.seat_.entry_) return;
  lease.seat_.entry_ = by_key_.emplace(lease.key().text(), &lease.seat_);
  lease.seat_.known_ = true;
}

void Renewer::attend(Lease& lease) noexcept {
  const std::lock_guard lock{mutex_};
  Seat& seat = lease.seat_;
  if (seat.entry_ && !std::exchange(seat.watched_, true)) ++watched_;
}

void Renewer::watch(Lease& lease) {
  enlist();
  admit(lease);
  attend(lease);
  lease.note_watched();
}

void Renewer::schedule(Lease& lease, Instant due, Instant::duration slack) noexcept {
  if (!is_enlisted()) return;
  const std::lock_guard lock{mutex_};
  lease.seat_.known_ = true;
  set_due(lease.seat_, due, slack);
}

/// With the lock held.
void Renewer::set_due(Seat& seat, Instant due, Instant::duration slack) noexcept {
  if (seat.is_scheduled()) {
    if (seat.due() <= due) return;
    schedule_.remove(seat);
  }
  seat.slack_ = slack;
  schedule_.add(seat, due);
  if (schedule_.first() == &seat) session_.background().call(*this, due);
}

void Renewer::dismiss(Lease& lease) noexcept {
  Seat& seat = lease.seat_;
  if (!seat.known_) return;
  const std::lock_guard lock{mutex_};
  if (seat.is_scheduled()) schedule_.remove(seat);
  if (seat.entry_) by_key_.erase(*std::exchange(seat.entry_, std::nullopt));
  if (std::exchange(seat.watched_, false)) --watched_;
  seat.known_ = false;
}

void Renewer::key_changed(std::string_view key) noexcept {
  const std::lock_guard lock{mutex_};
  const auto [first, last] = by_key_.equal_range(key);
  for (auto entry = first; entry != last; ++entry) {
    Seat& seat = *entry->second;
    if (!seat.watched_) continue;
    seat.lease_.doubt();
    set_due(seat, Instant{}, {});
  }
}

template <class Which>
void Renewer::visit_soon(const Which& which) noexcept {
  const std::lock_guard lock{mutex_};
  for (const auto& [key, seat] : by_key_) {
    if (!which(*seat)) continue;
    seat->lease_.doubt();
    set_due(*seat, Instant{}, {});
  }
}

void Renewer::all_changed() noexcept {
  visit_soon([](const Seat& seat) { return seat.watched_ || !seat.lease_.is_confirmed_here(); });
}

/// Many slots move at a time: all leases are looked at once, when there is time.
void Renewer::keys_moved() noexcept {
  if (!is_enlisted() || moved_.exchange(true)) return;
  session_.background().call(*this, Instant{});
}

bool Renewer::is_idle() noexcept {
  const std::lock_guard lock{mutex_};
  return by_key_.empty();
}

// ---- a round --------------------------------------------------------------------------------------------------------

Instant Renewer::run(Instant now) noexcept {
  take_results([&](const std::shared_ptr<Batch>& batch) { take_in(*batch, now); });
  // Where one is under way its answer tells.
  if (moved_.exchange(false)) {
    visit_soon([](const Seat& seat) { return !seat.under_way_ && !seat.lease_.is_confirmed_here(); });
  }
  Instant again = never;
  try {
    gather(now);
    ready_.reserve(ready_.size() + due_.size());
    for (const auto& lease : due_) plan(lease, now);
    due_.clear();
    send(now);
  } catch (const std::bad_alloc&) {
    for (const auto& lease : due_)
      schedule(*lease, now + until_its_turn);  // of those that were planned, too: that does no harm
    due_.clear();
    again = now + until_its_turn;
  }
  listen();
  const std::lock_guard lock{mutex_};
  return schedule_.first() != nullptr ? std::min(again, schedule_.first()->due()) : again;
}

/// What is due now, or so soon that it can go along.
void Renewer::gather(Instant now) {
  const std::lock_guard lock{mutex_};
  if (schedule_.first() == nullptr || schedule_.first()->due() > now) return;
  due_.reserve(schedule_.size());
  too_early_.reserve(schedule_.size());
  while (schedule_.first() != nullptr && schedule_.first()->due() <= now + longest_slack) {
    Seat& seat = static_cast<Seat&>(*schedule_.first());
    schedule_.remove(seat);
    if (seat.due() > now + seat.slack_) {
      too_early_.push_back(&seat);
    } else if (std::shared_ptr<Lease> lease = seat.lease_.weak_from_this().lock()) {
      due_.push_back(std::move(lease));
    }
  }
  for (Seat* seat : too_early_) schedule_.add(*seat, seat->due());
  too_early_.clear();
}

/// There is room for it.
void Renewer::plan(const std::shared_ptr<Lease>& lease, Instant now) noexcept {
  using What = Lease::Visit::What;
  write_label(lease, now);
  const Lease::Visit visit = lease->plan(now);
  if (visit.what == What::lose) return call_off(*lease);
  // If one is under way the next is planned when that one is over.
  if (visit.what == What::nothing || std::exchange(lease->seat_.under_way_, true)) return;
  ready_.push_back(
      {lease, visit, now, session_.router().slot_of(lease->key()), lease->terms().replicas, lease->seat_.together_});
  std::push_heap(ready_.begin(), ready_.end());
}

/// In a command of its own, because nothing depends on it.
void Renewer::write_label(const std::shared_ptr<Lease>& lease, Instant now) noexcept {
  const auto label = lease->plan_label(now);
  if (!label) return;
  Instant next = now + until_there_is_room;
  try {
    if (labels_->under_way < most_labels) {
      session_.background().start(std::make_shared<Labelling>(session_, labels_, lease, *label));
      ++labels_->under_way;
      return;
    }
  } catch (const std::exception&) {  // no memory, no thread
    next = now + until_its_turn;
  }
  lease->note_label_over();
  lease->put_off_label(next);
}

void Renewer::call_off(Lease& lease) noexcept {
  lease.lose(Loss::expired);
  lease.tell_successor();
}

void Renewer::send(Instant now) {
  std::size_t of_few = 0;
  while (has_room() && !ready_.empty()) {
    const std::shared_ptr<Batch> batch = load(now);
    if (batch->parts.empty()) continue;
    if (batch->is_of_few && (now < few_not_before_ || ++of_few > few_at_once_)) {
      put_back(*batch, now);
    } else {
      take_off(batch, now);
    }
  }
}

/// Where a server refuses everything there would be as many commands as leases.
void Renewer::put_back(const Batch& batch, Instant now) noexcept {
  for (const Batch::Part& part : batch.parts) {
    const auto lease = part.lease.lock();
    if (!lease) continue;
    lease->seat_.under_way_ = false;
    lease->put_off(std::max(few_not_before_, now + until_its_turn), why_few_, now);
  }
}

/// The most urgent ones, of those that go together.
std::shared_ptr<Renewer::Batch> Renewer::load(Instant now) {
  using What = Lease::Visit::What;
  auto batch = std::make_shared<Batch>();
  const Ready first = ready_.front();
  const std::size_t most = std::min(ready_.size(), first.together);
  batch->parts.reserve(most);
  batch->keys.reserve(most);
  batch->ids.reserve(most);
  batch->replicas = first.replicas;
  batch->is_of_few = first.together < ExtendMany::most_items;
  while (!ready_.empty() && batch->parts.size() < most && ready_.front().goes_with(first)) {
    std::pop_heap(ready_.begin(), ready_.end());
    Ready next = std::move(ready_.back());
    ready_.pop_back();
    const std::shared_ptr<Lease> lease = next.lease.lock();
    if (!lease) continue;
    if (next.planned_at != now) next.visit = lease->plan(now);
    if (next.visit.what == What::nothing || next.visit.what == What::lose) {
      lease->seat_.under_way_ = false;
      if (next.visit.what == What::lose) call_off(*lease);
      continue;
    }
    batch->keys.push_back(lease->key());
    batch->ids.push_back(lease->id());
    batch->parts.push_back({std::move(next.lease), next.visit});
  }
  return batch;
}

void Renewer::take_off(const std::shared_ptr<Batch>& batch, Instant now) {
  try {
    session_.background().start(std::make_shared<Flight>(landing_, batch, now));
    note_begun();
  } catch (const std::exception& error) {  // no memory, no thread
    retry(*batch, error.what(), now);
  }
}

/// As long as somebody wants to hear what the server has to tell there is to be a connection.
void Renewer::listen() {
  bool wanted = false;
  {
    const std::lock_guard lock{mutex_};
    wanted = watched_ > 0;
  }
  if (std::exchange(listening_, wanted) != wanted) session_.background().listen(wanted);
}

}  // namespace redismutex::engine
