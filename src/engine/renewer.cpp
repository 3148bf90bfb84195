#include "engine/renewer.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <redismutex/observer.hpp>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

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
using std::chrono::milliseconds;

constexpr Instant never = Instant::max();

// So many commands may be under way at once; and so many labels besides. In a cluster each slot has commands of its own, and many locks
// are in as many slots.
constexpr std::size_t most_flights = 32;
constexpr std::size_t most_flights_in_cluster = 2048;
constexpr std::size_t most_labels = 64;

// Until there is room for another label.
constexpr milliseconds until_there_is_room{5};

constexpr milliseconds first_retry{20};
constexpr milliseconds longest_retry{500};

// Nothing goes along with others earlier than that.
constexpr milliseconds longest_slack{500};

/// A renewal that the Observer is to hear of.
struct Renewed {
  protocol::Key key;
  std::string name;
  milliseconds valid_for;
  std::int64_t waiting;
};

}  // namespace

/// What waits for its turn.
struct Renewer::Ready {
  std::weak_ptr<Lease> lease;
  Lease::Visit visit;
  Instant planned_at;
  std::uint16_t slot;
  Replicas replicas;

  /// Those of a slot of a cluster are together, because they go into one command, and those that so many replicas are to have.
  bool goes_with(const Ready& other) const noexcept { return slot == other.slot && replicas == other.replicas; }
  friend bool operator<(const Ready& one, const Ready& other) {
    if (one.slot != other.slot) return one.slot > other.slot;
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

void Renewer::all_changed() noexcept {
  const std::lock_guard lock{mutex_};
  for (const auto& [key, seat] : by_key_) {
    if (!seat->watched_ && seat->lease_.is_confirmed_here()) continue;
    seat->lease_.doubt();
    set_due(*seat, Instant{}, {});
  }
}

bool Renewer::is_idle() noexcept {
  const std::lock_guard lock{mutex_};
  return by_key_.empty();
}

// ---- a round --------------------------------------------------------------------------------------------------------

Instant Renewer::run(Instant now) noexcept {
  take_results([&](const std::shared_ptr<Batch>& batch) { take_in(*batch, now); });
  Instant again = never;
  try {
    gather(now);
    ready_.reserve(ready_.size() + due_.size());
    for (const auto& lease : due_) plan(lease, now);
    due_.clear();
    send(now);
  } catch (const std::bad_alloc&) {
    for (const auto& lease : due_)
      schedule(*lease, now + first_retry);  // of those that were planned, too: that does no harm
    due_.clear();
    again = now + first_retry;
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
  ready_.push_back({lease, visit, now, session_.router().slot_of(lease->key()), lease->terms().replicas});
  std::push_heap(ready_.begin(), ready_.end());
}

/// In a command of its own, because nothing depends on it.
void Renewer::write_label(const std::shared_ptr<Lease>& lease, Instant now) noexcept {
  const auto label = lease->plan_label(now);
  if (!label) return;
  if (labels_->under_way >= most_labels) return lease->put_off_label(now + until_there_is_room);
  try {
    session_.background().start(std::make_shared<Labelling>(session_, labels_, lease, *label));
    ++labels_->under_way;
  } catch (const std::exception&) {  // no memory, no thread
    lease->put_off_label(now + first_retry);
  }
}

void Renewer::call_off(Lease& lease) noexcept {
  lease.lose(Loss::expired);
  lease.tell_successor();
}

void Renewer::send(Instant now) {
  while (has_room() && !ready_.empty()) {
    const std::shared_ptr<Batch> batch = load(now);
    if (!batch->parts.empty()) take_off(batch, now);
  }
}

/// The most urgent ones, of those that go together.
std::shared_ptr<Renewer::Batch> Renewer::load(Instant now) {
  using What = Lease::Visit::What;
  auto batch = std::make_shared<Batch>();
  const std::size_t most = std::min(ready_.size(), ExtendMany::most_items);
  batch->parts.reserve(most);
  batch->keys.reserve(most);
  batch->ids.reserve(most);
  const Ready first = ready_.front();
  batch->replicas = first.replicas;
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

// ---- what came of it ------------------------------------------------------------------------------------------------

void Renewer::take_in(Batch& batch, Instant now) {
  if (!batch.replicas.is_off() && confirm(batch, now)) return;
  for (const Batch::Part& part : batch.parts) {
    if (const auto lease = part.lease.lock()) lease->seat_.under_way_ = false;
  }
  if (batch.fates.size() != batch.parts.size()) return retry(batch, batch.trouble, now);
  failures_ = 0;
  batch.how.share = random_share();
  note_fates(batch, now);
}

void Renewer::note_fates(Batch& batch, Instant now) {
  std::vector<Renewed> renewed;
  const bool observed = session_.callbacks().observer() != nullptr;
  for (std::size_t i = 0; i < batch.parts.size(); ++i) {
    const auto& [kept, visit] = batch.parts[i];
    const std::shared_ptr<Lease> lease = kept.lock();
    if (!lease) continue;
    if (std::holds_alternative<protocol::Extend::Gone>(batch.fates[i])) {
      lease->lose(Loss::gone);
      lease->tell_successor();
      continue;
    }
    const Instant until = lease->conclude_visit(visit, batch.fates[i], batch.how, now);
    const bool is_vote = lease->terms().part == Lease::Part::vote;  // its QuorumLease tells
    if (!observed || !visit.renews || until <= now || is_vote) continue;
    try {
      renewed.push_back({lease->key(), lease->name(), protocol::time_left(until, now),
                         std::get<protocol::Extend::Extended>(batch.fates[i]).waiting});
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
    }
  }
  if (renewed.empty()) return;
  try {
    session_.callbacks().tell_observer([renewed = std::move(renewed)](Observer& observer) {
      for (const Renewed& one : renewed) {
        observer.lease_renewed({{one.name, one.key.text()}, one.valid_for, one.waiting});
      }
    });
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the same
  }
}

/// Those that were under way together fail together: that is one failure.
void Renewer::retry(Batch& batch, std::string_view trouble, Instant now) noexcept {
  const bool is_first = failures_ == 0;
  const auto renewals = static_cast<std::size_t>(std::count_if(
      batch.parts.begin(), batch.parts.end(), [](const Batch::Part& part) { return part.visit.renew_to.count() > 0; }));
  if (is_first || batch.sent_at > failed_at_) {
    ++failures_;
    failed_at_ = now;
  }
  std::shared_ptr<const std::string> why;
  std::uint64_t bits = 0;
  try {
    bits = session_.environment().random_bits();
    why = std::make_shared<const std::string>(
        std::string{batch.is_refused ? "the server said: " : "the reason: "}.append(trouble));
    if (is_first && renewals > 0) {
      session_.router()
          .server_of(batch.keys.front())
          .log("locks could not be renewed and will be tried again; " + *why);
    }
    if (renewals > 0) {
      session_.callbacks().tell_observer([renewals, reason = std::string{trouble}](Observer& observer) {
        observer.renewal_failed({.leases = renewals, .reason = reason});
      });
    }
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory to say so, no chance
  }
  const Instant again = now + route::jittered_pause(failures_ - 1, first_retry, longest_retry, bits);
  for (const Batch::Part& part : batch.parts) {
    const auto lease = part.lease.lock();
    if (!lease) continue;
    lease->seat_.under_way_ = false;
    lease->put_off(again, why, now);
  }
}

double Renewer::random_share() noexcept {
  constexpr double least = 0.28;
  constexpr double most = 1.0 / 3;
  std::uint64_t bits = 0;
  try {
    bits = session_.environment().random_bits();
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): then not at random
  }
  return least + (most - least) * static_cast<double>(bits >> 11U) / static_cast<double>(1ULL << 53U);
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
