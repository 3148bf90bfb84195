#include "engine/places.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <new>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/session.hpp"
#include "protocol/exchange.hpp"
#include "protocol/refresh.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;
using protocol::Refresh;
using protocol::Refreshed;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr Instant never = Instant::max();

// So many commands may be under way at once. In a cluster each slot has commands of its own.
constexpr std::size_t most_flights = 256;
constexpr std::size_t most_flights_in_cluster = 2048;

// In a cluster those of one slot go together. So many are looked at to find some.
constexpr std::size_t most_looked_at = 512;

// Of a place, in bytes. Longer ones are not renewed here.
constexpr std::size_t most_details = 64;

// Those who look more often do so by themselves.
constexpr milliseconds shortest_delay{50};

/// How much too early a renewal may be, to go along with others.
constexpr Instant::duration slack(Instant::duration delay) { return delay / 6; }

// The rarest that a waiter looks whether the Background runs, in delays, where there are few. To wake a thread costs the process more than
// to renew its place.
constexpr std::size_t rarest_watch = 10;

// So much later than a place was due the Background must be standing still; it then lapses soon.
constexpr Instant::duration forgotten_after(Instant::duration delay) { return delay / 2 + 1s; }

}  // namespace

/// Of a batch. Nothing in it belongs to the waiter, which may go while the batch is under way.
struct PlacesPart {
  Places::Place* place;  // none: it does not rest any more. Guarded by Places::mutex_
  protocol::Key key;
  protocol::OwnerId id;
  std::array<char, most_details> details;
  std::size_t details_size;
};

struct PlacesBatch {
  milliseconds delay;
  Instant sent_at;
  std::vector<PlacesPart> parts;
  std::vector<Refreshed> how;  // of each part; none: it failed
};

class Places::Flight final : public Conversing<Refresh> {
 public:
  Flight(std::shared_ptr<Landing> landing, std::shared_ptr<Batch> batch)
      : Conversing{landing->setting, landing->setting.terms(), items(*batch), batch->delay},
        landing_{std::move(landing)},
        batch_{std::move(batch)} {}

  void over(End end) noexcept override {
    const auto* how = std::get_if<std::vector<Refreshed>>(&machine_.outcome());
    try {
      if (end == End::done && !conversation_.failure() && how != nullptr) batch_->how = *how;
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then the waiters look by themselves
    }
    landing_->leave(batch_);
  }

 private:
  static std::vector<Refresh::Item> items(const Batch& batch) {
    std::vector<Refresh::Item> items;
    items.reserve(batch.parts.size());
    for (const PlacesPart& part : batch.parts) {
      items.push_back({&part.key, &part.id, std::string_view{part.details.data(), part.details_size}});
    }
    return items;
  }

  const std::shared_ptr<Landing> landing_;
  std::shared_ptr<Batch> batch_;
};

Places::Places(Session& session)
    : Rounds{session, session.router().cluster() == nullptr ? most_flights : most_flights_in_cluster},
      session_{session} {}

Places::~Places() { close(); }

// ---- a waiter -------------------------------------------------------------------------------------------------------

Instant Places::Place::rest(Instant now, Instant look_at) noexcept {
  const std::size_t size = acquire_.details().size();
  kept_every_ = delay_;
  slot_ = places_.session_.router().slot_of(key_);
  if (delay_ < shortest_delay || size > most_details || !places_.get_ready()) return Instant::min();
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

/// As rest().
Instant Places::add(Place& place, Instant now, Instant due) {
  const std::lock_guard lock{mutex_};
  // With the lock: one that came between the alarm and its own look would not be told.
  if (stands_still_) return Instant::min();
  Group& group = groups_[place.kept_every_];
  ++group.size;
  place.first_ = place.acquire_.is_first();
  place.renewed_at_.reset();
  enqueue(group, place, due);
  return group.next_watch(now, place.kept_every_);
}

/// With the lock held.
void Places::remove(Place& place) noexcept {
  if (place.part_ != nullptr) std::exchange(place.part_, nullptr)->place = nullptr;
  const auto group = groups_.find(place.kept_every_);
  group->second.queue.remove(place);
  if (--group->second.size == 0) groups_.erase(group);
}

/// With the lock held. Normally it is due after all others, because they wait for the same time. If not, it goes first: to be
/// renewed too early does no harm.
void Places::enqueue(Group& group, Place& place, Instant due) noexcept {
  auto& queue = group.queue;
  if (queue.size() == 0 || due >= queue.last()->due_) {
    place.due_ = due;
    queue.append(place);
  } else {
    place.due_ = std::min(due, queue.first()->due_);
    queue.prepend(place);
  }
  if (queue.first() == &place) session_.background().call(*this, place.due_);
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
  return route::List<Place>::holds(place) && place.due_ + forgotten_after(place.kept_every_) < now;
}

/// With the lock held: has all that are due some time look by themselves, until there is a round again.
void Places::raise_alarm() noexcept {
  if (stands_still_.exchange(true)) return;
  for (const auto& [delay, group] : groups_) {
    for (const Place* place = group.queue.first(); place != nullptr; place = route::List<Place>::next(*place)) {
      session_.wake_ups().place_refreshed(place->id_, Refreshed::no_place);
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
    session_.background().start(std::make_unique<Flight>(landing_, batch));
    note_begun();
  } catch (const std::exception&) {  // no memory, no thread
    take_in(*batch);
  }
  return true;
}

/// What is due now, or so soon that it can go along; none: nothing.
std::shared_ptr<Places::Batch> Places::load(Instant now) {
  const std::lock_guard lock{mutex_};
  const auto is_due = [now](const auto& group) {
    const Place* const first = group.second.queue.first();
    return first != nullptr && first->due_ <= now;
  };
  const auto due = std::find_if(groups_.begin(), groups_.end(), is_due);
  if (due == groups_.end()) return nullptr;
  auto& [delay, group] = *due;
  auto batch = std::make_shared<Batch>(Batch{.delay = delay, .sent_at = now, .parts = {}, .how = {}});
  batch->parts.reserve(Refresh::most_items);
  const Instant last = now + slack(delay);
  const std::uint16_t slot = group.queue.first()->slot_;
  std::size_t looked_at = 0;
  for (Place* each = group.queue.first(); each != nullptr && each->due_ <= last;) {
    if (batch->parts.size() == Refresh::most_items || looked_at++ == most_looked_at) break;
    Place& place = *std::exchange(each, route::List<Place>::next(*each));
    if (place.slot_ != slot) continue;
    group.queue.remove(place);
    PlacesPart& part = batch->parts.emplace_back(
        PlacesPart{.place = &place, .key = place.key_, .id = place.id_, .details = {}, .details_size = 0});
    const std::string& details = place.acquire_.details();
    part.details_size = details.copy(part.details.data(), part.details.size());
    place.part_ = &part;
  }
  return batch;
}

/// A waiter whose place could not be renewed is told what lets it ask.
void Places::take_in(Batch& batch) noexcept {
  const bool failed = batch.how.size() != batch.parts.size();
  const std::lock_guard lock{mutex_};
  for (std::size_t i = 0; i < batch.parts.size(); ++i) {
    if (batch.parts[i].place == nullptr) continue;
    Place& place = *std::exchange(batch.parts[i].place, nullptr);
    place.part_ = nullptr;
    const Refreshed how = failed ? Refreshed::no_place : batch.how[i];
    const bool is_news = how == Refreshed::no_place || (how == Refreshed::first && !place.first_);
    place.first_ = how == Refreshed::first;
    if (how != Refreshed::no_place) place.renewed_at_ = batch.sent_at;
    if (is_news) {
      session_.wake_ups().place_refreshed(place.id_, how);
    } else {
      enqueue(groups_.find(batch.delay)->second, place, batch.sent_at + batch.delay);
    }
  }
}

Instant Places::next_due() noexcept {
  const std::lock_guard lock{mutex_};
  Instant next = never;
  for (const auto& [delay, group] : groups_) {
    if (group.queue.size() > 0) next = std::min(next, group.queue.first()->due_);
  }
  return next;
}

}  // namespace redismutex::engine
