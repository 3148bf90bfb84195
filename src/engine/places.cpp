#include "engine/places.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <iterator>
#include <new>
#include <utility>

#include "engine/places_batch.hpp"
#include "engine/session.hpp"
#include "protocol/exchange.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;
using protocol::never;
using protocol::Refreshed;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

// So many commands may be under way at once. In a cluster each slot has commands of its own.
constexpr std::size_t most_batches = 256;
constexpr std::size_t most_batches_in_cluster = 2048;

// In a cluster those of one slot go together. So many of other slots are passed over to find some.
constexpr std::size_t most_passed_over = 16;

// Those who look more often do so by themselves.
constexpr milliseconds shortest_delay{50};

/// How much too early a renewal may be, to go along with others.
constexpr Instant::duration round_slack(Instant::duration delay) { return delay / 6; }

// The rarest that a waiter looks whether the Background runs, in delays, where there are few. To wake a thread costs the process more than
// to renew its place.
constexpr std::size_t rarest_watch = 10;

// So much later than a place was due the Background must be standing still; it then lapses soon.
constexpr Instant::duration forgotten_after(Instant::duration delay) { return delay / 2 + 1s; }

}  // namespace

/// One round of a batch.
class Places::Flight final : public route::Background::Operation {
 public:
  Flight(std::shared_ptr<Landing> landing, std::shared_ptr<Batch> batch)
      : landing_{std::move(landing)},
        batch_{std::move(batch)},
        conversation_{landing_->setting.environment(), landing_->setting.router(), batch_->machine(),
                      landing_->setting.terms()} {}

  route::Procedure& procedure() noexcept override { return conversation_; }

  void over(End end) noexcept override {
    batch_->has_answer = end == End::done && !conversation_.failure();
    landing_->leave(batch_);
  }

 private:
  const std::shared_ptr<Landing> landing_;
  std::shared_ptr<Batch> batch_;
  engine::Conversation conversation_;
};

Places::Places(Session& session)
    : Rounds{session, session.router().cluster() == nullptr ? most_batches : most_batches_in_cluster},
      session_{session} {}

Places::~Places() { close(); }

// ---- a waiter -------------------------------------------------------------------------------------------------------

Instant Places::Place::rest(Instant now, Instant look_at) noexcept {
  const std::size_t size = acquire_.details().size();
  kept_every_ = delay_;
  slot_ = places_.session_.router().slot_of(key_);
  if (delay_ < shortest_delay || size > PlacesBatch::most_details || !places_.get_ready()) return Instant::min();
  try {
    const Instant watch_at = places_.add(*this, now, std::min<Instant>(now + delay_, look_at));
    rests_ = watch_at != Instant::min();
    return watch_at;
  } catch (const std::bad_alloc&) {
    return Instant::min();
  }
}

std::optional<Instant> Places::Place::wake(Instant now) noexcept {
  if (!std::exchange(rests_, false)) return std::nullopt;
  const std::lock_guard lock{places_.mutex_};
  if (is_forgotten(*this, now)) places_.raise_alarm();
  places_.remove(*this);
  return std::exchange(renewed_at_, std::nullopt);
}

/// Whether there are threads for it.
bool Places::get_ready() noexcept try { return enlist(); } catch (const std::exception&) {
  return false;
}

/// As rest(). Normally it is due after all others, because they wait for the same time. If not, it goes first: to be renewed too early
/// does no harm.
Instant Places::add(Place& place, Instant now, Instant due) {
  const std::lock_guard lock{mutex_};
  // With the lock: one that came between the alarm and its own look would not be told.
  if (stands_still_) return Instant::min();
  Group& group = groups_[place.kept_every_];
  ++group.size;
  place.renewed_at_.reset();
  auto& fresh = group.fresh;
  if (fresh.size() == 0 || due >= fresh.last()->due_) {
    place.due_ = due;
    fresh.append(place);
  } else {
    place.due_ = std::min(due, fresh.first()->due_);
    fresh.prepend(place);
  }
  if (fresh.first() == &place) session_.background().call(*this, place.due_);
  return group.next_watch(now, place.kept_every_);
}

/// With the lock held.
void Places::remove(Place& place) noexcept {
  const auto entry = groups_.find(place.kept_every_);
  Group& group = entry->second;
  group.fresh.remove(place);
  if (Batch* const batch = place.batch_) {
    batch->remove(place.part_);
    if (batch->parts().empty()) group.batches.erase(batch->position);
  }
  if (--group.size == 0) groups_.erase(entry);
}

// ---- should the Background stand still ------------------------------------------------------------------------------

/// With the lock held: when the next that rests is to wake by itself, so that all together do so once in a delay.
Instant Places::Group::next_watch(Instant now, milliseconds delay) noexcept {
  constexpr std::size_t most = 1'000'000;
  const Instant::duration pause = std::min<Instant::duration>(delay, 1h);
  const auto after = [&](std::size_t pauses) { return now + static_cast<Instant::rep>(pauses) * pause; };
  watch_at += pause;
  const bool fits = watch_at >= after(rarest_watch) && watch_at <= after(std::clamp(size, rarest_watch, most));
  return fits ? watch_at : watch_at = after(rarest_watch);
}

/// With the lock held: it is due for long, and nobody has come for it.
bool Places::is_forgotten(const Place& place, Instant now) noexcept {
  const Batch* const batch = place.batch_;
  const bool waits_for_its_round = batch != nullptr ? !batch->is_under_way : route::List<Place>::holds(place);
  const Instant due = batch != nullptr ? batch->due : place.due_;
  return waits_for_its_round && due + forgotten_after(place.kept_every_) < now;
}

/// With the lock held: has all that are due some time look by themselves, until there is a round again.
void Places::raise_alarm() noexcept {
  if (stands_still_.exchange(true)) return;
  const auto tell = [this](const protocol::OwnerId& id) {
    session_.wake_ups().place_refreshed(id, Refreshed::no_place);
  };
  for (const auto& [delay, group] : groups_) {
    for (const Place* place = group.fresh.first(); place != nullptr; place = route::List<Place>::next(*place)) {
      tell(place->id_);
    }
    for (const auto& batch : group.batches) {
      for (const Batch::Part& part : batch->parts()) tell(part.id);
    }
  }
}

// ---- in the Background ----------------------------------------------------------------------------------------------

Instant Places::run(Instant now) noexcept {
  constexpr milliseconds without_memory{20};
  stands_still_ = false;
  take_results([this](const std::shared_ptr<Batch>& batch) { take_in(*batch); });
  try {
    while (has_room() && send_next(now)) continue;
  } catch (const std::bad_alloc&) {
    return now + without_memory;
  }
  return has_room() ? next_due() : never;
}

/// Whether there was something to send.
bool Places::send_next(Instant now) {
  const std::shared_ptr<Batch> batch = load(now);
  if (!batch) return false;
  try {
    session_.background().start(std::make_shared<Flight>(landing_, batch));
    note_begun();
  } catch (const std::exception&) {  // no memory, no thread
    take_in(*batch);
  }
  return true;
}

/// With the lock held.
Instant Places::Group::due() const noexcept {
  const Instant of_fresh = fresh.size() > 0 ? fresh.first()->due_ : never;
  return batches.empty() ? of_fresh : std::min(of_fresh, batches.front()->due);
}

/// What is due now, or so soon that it can go along; none: nothing. Throws std::bad_alloc; what is due then stays so.
std::shared_ptr<Places::Batch> Places::load(Instant now) {
  const std::lock_guard lock{mutex_};
  const auto is_due = [now](const auto& each) { return each.second.due() <= now; };
  const auto due = std::find_if(groups_.begin(), groups_.end(), is_due);
  if (due == groups_.end()) return nullptr;
  auto& [delay, group] = *due;
  const Instant last = now + round_slack(delay);
  std::shared_ptr<Batch> batch = next_batch(group, delay, now);
  add_fresh(group, *batch, last);
  merge(group, *batch, last);
  batch->begin(now);
  under_way_.splice(under_way_.end(), group.batches, batch->position);
  return batch;
}

/// With the lock held: the one that is due. Else it is time for a place that is in none so far: one that it can join, or a new one.
std::shared_ptr<Places::Batch> Places::next_batch(Group& group, milliseconds delay, Instant now) {
  Batches& batches = group.batches;
  if (!batches.empty() && batches.front()->due <= now) return batches.front();
  const std::uint16_t slot = group.fresh.first()->slot_;
  const Instant last = now + round_slack(delay);
  std::size_t passed_over = 0;
  for (const std::shared_ptr<Batch>& batch : batches) {
    if (batch->due > last || passed_over++ == most_passed_over) break;
    if (batch->slot == slot && batch->has_room()) return batch;
  }
  batches.push_front(std::make_shared<Batch>(delay, slot, now));
  batches.front()->position = batches.begin();
  return batches.front();
}

/// With the lock held: those that are due until then.
void Places::add_fresh(Group& group, Batch& batch, Instant last) {
  std::size_t passed_over = 0;
  for (Place* next = group.fresh.first(); batch.has_room() && next != nullptr && next->due_ <= last;) {
    Place& place = *std::exchange(next, route::List<Place>::next(*next));
    if (place.slot_ != batch.slot) {
      if (++passed_over == most_passed_over) return;
      continue;
    }
    const std::string& details = place.acquire_.details();
    Batch::Part part{.place = &place,
                     .renewed_at = std::nullopt,
                     .is_first = place.acquire_.is_first(),
                     .key = place.key_,
                     .id = place.id_,
                     .details = {},
                     .details_size = 0};
    part.details_size = details.copy(part.details.data(), part.details.size());
    batch.add(part);
    group.fresh.remove(place);
  }
}

/// With the lock held: batches that waiters have left are put together, so that there are few commands. What does not fit moves only into a
/// batch that has more already: else the parts would go round for ever.
void Places::merge(Group& group, Batch& batch, Instant last) {
  std::size_t passed_over = 0;
  for (auto next = std::next(batch.position); batch.has_room() && next != group.batches.end();) {
    Batch& other = **next++;
    if (other.due > last) return;
    const std::size_t both = batch.parts().size() + other.parts().size();
    const bool would_go_round = both > Batch::most_parts && other.parts().size() > batch.parts().size();
    if (other.slot != batch.slot || would_go_round) {
      if (++passed_over == most_passed_over) return;
      continue;
    }
    batch.take_from(other);
    if (other.parts().empty()) group.batches.erase(other.position);
  }
}

/// A waiter whose place could not be renewed is told what lets it ask. It is in no batch then, until it rests again.
void Places::take_in(Batch& batch) noexcept {
  Batches ended;  // keeps it until the lock is free
  const std::lock_guard lock{mutex_};
  ended.splice(ended.end(), under_way_, batch.position);
  batch.end([this](const protocol::OwnerId& id, Refreshed how) { session_.wake_ups().place_refreshed(id, how); });
  if (batch.parts().empty()) return;
  Batches& batches = groups_.find(batch.delay)->second.batches;
  auto next = batches.end();
  while (next != batches.begin() && (*std::prev(next))->due > batch.due) --next;
  batches.splice(next, ended);
}

Instant Places::next_due() noexcept {
  const std::lock_guard lock{mutex_};
  Instant next = never;
  for (const auto& [delay, group] : groups_) next = std::min(next, group.due());
  return next;
}

}  // namespace redismutex::engine
