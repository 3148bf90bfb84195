#include "engine/places.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <functional>
#include <iterator>
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

// So many commands may be under way at once.
constexpr std::size_t most_flights = 256;

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

/// Places that are renewed together. Guarded by Places::mutex_; while it is under way, only who waits for each place changes.
struct PlacesBatch {
  /// Nothing in it belongs to the waiter, which may go while the batch is under way.
  struct Part {
    Places::Place* place;  // none: it does not rest any more
    protocol::Key key;
    protocol::OwnerId id;
    std::array<char, most_details> details;
    std::size_t details_size;
    bool is_first;  // and its waiter knows
    std::optional<Instant> renewed_at;
  };

  /// Throws std::bad_alloc. Later it needs memory for its machine only.
  PlacesBatch(milliseconds delay_of_all, Instant now) : delay{delay_of_all}, due{now} {
    parts.reserve(Refresh::most_items);
  }

  const milliseconds delay;
  std::vector<Part> parts;
  std::optional<Refresh> machine;
  bool is_changed = true;  // since the machine was made
  Instant due;
  Instant sent_at;
  bool is_under_way = false;
  bool has_answer = false;
  Places::Batches::iterator position;  // in its group, or among those that are under way

  bool has_room() const noexcept { return parts.size() < Refresh::most_items; }

  /// Throws std::bad_alloc, and is as it was then.
  void make_machine() {
    if (!is_changed) return;
    std::vector<Refresh::Item> items;
    items.reserve(parts.size());
    for (const Part& part : parts) items.push_back({&part.key, &part.id, {part.details.data(), part.details_size}});
    machine.emplace(items, delay);
    is_changed = false;
  }

  /// If it has room.
  void add(const Part& part) noexcept {
    is_changed = true;
    part.place->batch_ = this;
    part.place->part_ = parts.size();
    parts.push_back(part);
  }

  /// The waiter goes.
  static void let_go(Part& part) noexcept {
    Places::Place& place = *std::exchange(part.place, nullptr);
    place.batch_ = nullptr;
    place.renewed_at_ = part.renewed_at;
  }

  /// The last one comes in its stead.
  void take_out(Part& part) noexcept {
    is_changed = true;
    if (&part != &parts.back()) {
      part = std::move(parts.back());
      if (part.place != nullptr) part.place->part_ = static_cast<std::size_t>(&part - parts.data());
    }
    parts.pop_back();
  }

  /// As many as there is room for.
  void take_from(PlacesBatch& other) noexcept {
    other.is_changed = true;
    for (; has_room() && !other.parts.empty(); other.parts.pop_back()) add(other.parts.back());
  }
};

class Places::Flight final : public route::Background::Operation {
 public:
  Flight(std::shared_ptr<Landing> landing, std::shared_ptr<Batch> batch)
      : landing_{std::move(landing)},
        batch_{std::move(batch)},
        conversation_{landing_->setting.environment(), landing_->setting.server(), *batch_->machine,
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

Places::Places(Session& session) : Rounds{session, most_flights}, session_{session} {}

Places::~Places() { close(); }

// ---- a waiter -------------------------------------------------------------------------------------------------------

Instant Places::Place::rest(Instant now, Instant look_at) noexcept {
  const std::size_t size = acquire_.details().size();
  kept_every_ = delay_;
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

/// As rest(). Normally it is due after all others, because they wait for the same time. If not, it goes first: to be renewed too early
/// does no harm.
Instant Places::add(Place& place, Instant now, Instant due) {
  if (stands_still_) return Instant::min();
  const std::lock_guard lock{mutex_};
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
    Batch::Part& part = batch->parts[place.part_];
    Batch::let_go(part);
    if (!batch->is_under_way) {
      batch->take_out(part);
      if (batch->parts.empty()) group.batches.erase(batch->position);
    }
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
  const bool is_looked_after = place.batch_ != nullptr ? place.batch_->is_under_way : !route::List<Place>::holds(place);
  const Instant due = place.batch_ != nullptr ? place.batch_->due : place.due_;
  return !is_looked_after && due + forgotten_after(place.kept_every_) < now;
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
      for (const Batch::Part& part : batch->parts) tell(part.id);
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

/// With the lock held.
Instant Places::Group::due() const noexcept {
  const Instant of_fresh = fresh.size() > 0 ? fresh.first()->due_ : never;
  return batches.empty() ? of_fresh : std::min(of_fresh, batches.front()->due);
}

/// What is due now, or so soon that it can go along; none: nothing.
std::shared_ptr<Places::Batch> Places::load(Instant now) {
  const std::lock_guard lock{mutex_};
  const auto is_due = [now](const auto& each) { return each.second.due() <= now; };
  const auto due = std::find_if(groups_.begin(), groups_.end(), is_due);
  if (due == groups_.end()) return nullptr;
  auto& [delay, group] = *due;
  Batches& batches = group.batches;
  const Instant last = now + slack(delay);
  const bool goes_on = !batches.empty() &&
                       (batches.front()->due <= now || (batches.front()->due <= last && batches.front()->has_room()));
  if (!goes_on) {
    batches.push_front(std::make_shared<Batch>(delay, now));
    batches.front()->position = batches.begin();
  }
  std::shared_ptr<Batch> batch = batches.front();
  fill(group, *batch, last);
  batch->make_machine();
  batch->sent_at = now;
  batch->is_under_way = true;
  batch->has_answer = false;
  under_way_.splice(under_way_.end(), batches, batch->position);
  return batch;
}

/// With the lock held: the first batch, with what is due until then.
void Places::fill(Group& group, Batch& batch, Instant last) noexcept {
  while (batch.has_room() && group.fresh.size() > 0 && group.fresh.first()->due_ <= last) {
    Place& place = *group.fresh.first();
    group.fresh.remove(place);
    Batch::Part part{.place = &place,
                     .key = place.key_,
                     .id = place.id_,
                     .details = {},
                     .details_size = 0,
                     .is_first = place.acquire_.is_first(),
                     .renewed_at = {}};
    part.details_size = place.acquire_.details().copy(part.details.data(), part.details.size());
    batch.add(part);
  }
  // Those that many have left are put together. What a fuller one has stays there.
  for (auto next = std::next(batch.position); batch.has_room() && next != group.batches.end();) {
    Batch& other = **next++;
    if (other.due > last) return;
    if (other.parts.size() > batch.parts.size()) continue;
    batch.take_from(other);
    if (other.parts.empty()) group.batches.erase(other.position);
  }
}

/// A waiter whose place could not be renewed is told what lets it ask. It is in no batch then, until it rests again.
void Places::take_in(Batch& batch) noexcept {
  Batches left;  // if nobody is in it any more, it ends here
  const std::lock_guard lock{mutex_};
  left.splice(left.end(), under_way_, batch.position);
  batch.is_under_way = false;
  const auto* const answer = std::get_if<std::vector<Refreshed>>(&batch.machine->outcome());
  const bool failed = !batch.has_answer || answer == nullptr;
  // From the end: what comes in the stead of one that is taken out was looked at.
  for (std::size_t i = batch.parts.size(); i-- > 0;) {
    Batch::Part& part = batch.parts[i];
    const Refreshed how = failed ? Refreshed::no_place : (*answer)[i];
    if (how != Refreshed::no_place) part.renewed_at = batch.sent_at;
    const bool is_news = how == Refreshed::no_place || (how == Refreshed::first && !part.is_first);
    part.is_first = how == Refreshed::first;
    if (part.place != nullptr && !is_news) continue;
    if (part.place != nullptr) {
      Batch::let_go(part);
      session_.wake_ups().place_refreshed(part.id, how);
    }
    batch.take_out(part);
  }
  if (batch.parts.empty()) return;
  batch.due = batch.sent_at + batch.delay;
  Batches& batches = groups_.find(batch.delay)->second.batches;
  const auto is_later = [&batch](const auto& other) { return other->due > batch.due; };
  batches.splice(std::find_if(batches.rbegin(), batches.rend(), std::not_fn(is_later)).base(), left);
}

Instant Places::next_due() noexcept {
  const std::lock_guard lock{mutex_};
  Instant next = never;
  for (const auto& [delay, group] : groups_) next = std::min(next, group.due());
  return next;
}

}  // namespace redismutex::engine
