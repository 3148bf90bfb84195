#include "engine/places.hpp"

#include <algorithm>
#include <array>
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

constexpr Instant never = Instant::max();

// So many commands may be under way at once.
constexpr std::size_t most_flights = 256;

// Those who look more often do so by themselves.
constexpr milliseconds shortest_delay{50};

/// How much too early a renewal may be, to go along with others.
constexpr Instant::duration slack(Instant::duration delay) { return delay / 6; }

/// So much later than it would have a waiter looks by itself, should the Background be held up for so long that the place was not
/// renewed. Rarely: to wake a thread costs the process more than to renew its place.
constexpr Instant::duration backstop(Instant::duration delay) { return 39 * delay; }

}  // namespace

/// Of a batch. Nothing in it belongs to the waiter, which may go while the batch is under way.
struct Places::Part {
  Place* place;  // none: it does not rest any more. Guarded by Places::mutex_
  protocol::Key key;
  protocol::OwnerId id;
  std::array<char, most_details> details;
  std::size_t details_size;
};

struct Places::Batch {
  milliseconds delay;
  Instant sent_at;
  std::vector<Part> parts;
  std::vector<Refreshed> how;  // of each part; none: it failed
};

/// Where the commands under way leave what came of them; outlives the Session if need be.
struct Places::Landing {
  std::mutex mutex;               // guards the rest; before the Background's
  route::Background::Duty* duty;  // none: nobody wants to know any more
  route::Background& background;
  std::vector<std::shared_ptr<Batch>> landed;  // has room for all
};

class Places::Flight final : public route::Background::Operation {
 public:
  Flight(Session& session, std::shared_ptr<Landing> landing, std::shared_ptr<Batch> batch)
      : environment_{session.environment()},
        landing_{std::move(landing)},
        batch_{std::move(batch)},
        machine_{items(*batch_), batch_->delay},
        conversation_{environment_,
                      session.server(),
                      machine_,
                      {.deadline = session.patience(), .patience = session.limits().connect_timeout}} {}

  route::Procedure& procedure() noexcept override { return conversation_; }

  void over(End end) noexcept override {
    const auto* how = std::get_if<std::vector<Refreshed>>(&machine_.outcome());
    try {
      if (end == End::done && !conversation_.failure() && how != nullptr) batch_->how = *how;
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then the waiters look by themselves
    }
    const std::lock_guard lock{landing_->mutex};
    if (landing_->duty == nullptr) return;
    landing_->landed.push_back(std::move(batch_));
    landing_->background.call(*landing_->duty, environment_.now());
  }

 private:
  static std::vector<Refresh::Item> items(const Batch& batch) {
    std::vector<Refresh::Item> items;
    items.reserve(batch.parts.size());
    for (const Part& part : batch.parts) {
      items.push_back({&part.key, &part.id, std::string_view{part.details.data(), part.details_size}});
    }
    return items;
  }

  route::Environment& environment_;
  const std::shared_ptr<Landing> landing_;
  std::shared_ptr<Batch> batch_;
  Refresh machine_;
  engine::Conversation conversation_;
};

Places::Places(Session& session)
    : session_{session},
      landing_{new Landing{.mutex = {}, .duty = this, .background = session.background(), .landed = {}}} {
  landing_->landed.reserve(most_flights);
  landed_.reserve(most_flights);
}

Places::~Places() { close(); }

void Places::close() noexcept {
  {
    const std::lock_guard lock{landing_->mutex};
    landing_->duty = nullptr;
  }
  const std::lock_guard lock{enlisting_};
  closed_ = true;
  if (std::exchange(enlisted_, false)) session_.background().withdraw(*this);
}

// ---- a waiter -------------------------------------------------------------------------------------------------------

Instant Places::Place::rest(Instant now, Instant look_at) noexcept {
  const std::size_t size = acquire_.details().size();
  kept_every_ = delay_;
  if (delay_ < shortest_delay || size > most_details || !places_.get_ready()) return Instant::min();
  try {
    places_.add(*this, std::min<Instant>(now + delay_, look_at));
  } catch (const std::bad_alloc&) {
    return Instant::min();
  }
  rests_ = true;
  return look_at + backstop(delay_);
}

std::optional<Instant> Places::Place::wake() noexcept {
  if (!std::exchange(rests_, false)) return std::nullopt;
  const std::lock_guard lock{places_.mutex_};
  places_.remove(*this);
  return std::exchange(renewed_at_, std::nullopt);
}

/// Whether there are threads for it.
bool Places::get_ready() noexcept try {
  const std::lock_guard lock{enlisting_};
  if (enlisted_) return true;
  if (closed_) return false;
  session_.background().enlist(*this);
  enlisted_ = true;
  return true;
} catch (const std::exception&) {
  return false;
}

void Places::add(Place& place, Instant due) {
  const std::lock_guard lock{mutex_};
  Group& group = groups_[place.kept_every_];
  ++group.size;
  place.first_ = place.acquire_.is_first();
  place.renewed_at_.reset();
  enqueue(group, place, due);
}

/// With the lock held.
void Places::remove(Place& place) noexcept {
  if (place.part_ != nullptr) std::exchange(place.part_, nullptr)->place = nullptr;
  dequeue(place);
  const auto group = groups_.find(place.kept_every_);
  if (--group->second.size == 0) groups_.erase(group);
}

/// With the lock held. Normally it is due after all others, because they wait for the same time. If not, it goes first: to be
/// renewed too early does no harm.
void Places::enqueue(Group& group, Place& place, Instant due) noexcept {
  place.group_ = &group;
  if (group.last == nullptr || due >= group.last->due_) {
    place.due_ = due;
    place.previous_ = group.last;
    (group.last != nullptr ? group.last->next_ : group.first) = &place;
    group.last = &place;
  } else {
    place.due_ = std::min(due, group.first->due_);
    place.next_ = group.first;
    group.first->previous_ = &place;
    group.first = &place;
  }
  if (group.first == &place) session_.background().call(*this, place.due_);
}

/// With the lock held.
void Places::dequeue(Place& place) noexcept {
  Group* const group = std::exchange(place.group_, nullptr);
  if (group == nullptr) return;
  (place.previous_ != nullptr ? place.previous_->next_ : group->first) = place.next_;
  (place.next_ != nullptr ? place.next_->previous_ : group->last) = place.previous_;
  place.previous_ = place.next_ = nullptr;
}

// ---- in the Background ----------------------------------------------------------------------------------------------

Instant Places::run(Instant now) noexcept {
  constexpr milliseconds without_memory{20};
  {
    const std::lock_guard lock{landing_->mutex};
    landed_.swap(landing_->landed);
  }
  flying_ -= landed_.size();
  for (const auto& batch : landed_) take_in(*batch);
  landed_.clear();
  try {
    while (flying_ < most_flights && send_next(now)) continue;
  } catch (const std::bad_alloc&) {
    return now + without_memory;
  }
  return flying_ < most_flights ? next_due() : never;
}

/// Whether there was something to send.
bool Places::send_next(Instant now) {
  const std::shared_ptr<Batch> batch = load(now);
  if (!batch) return false;
  try {
    session_.background().start(std::make_unique<Flight>(session_, landing_, batch));
    ++flying_;
  } catch (const std::exception&) {  // no memory, no thread
    take_in(*batch);
  }
  return true;
}

/// What is due now, or so soon that it can go along; none: nothing.
std::shared_ptr<Places::Batch> Places::load(Instant now) {
  const std::lock_guard lock{mutex_};
  const auto is_due = [now](const auto& group) {
    return group.second.first != nullptr && group.second.first->due_ <= now;
  };
  const auto due = std::find_if(groups_.begin(), groups_.end(), is_due);
  if (due == groups_.end()) return nullptr;
  auto& [delay, group] = *due;
  auto batch = std::make_shared<Batch>(Batch{.delay = delay, .sent_at = now, .parts = {}, .how = {}});
  batch->parts.reserve(Refresh::most_items);
  const Instant last = now + slack(delay);
  while (batch->parts.size() < Refresh::most_items && group.first != nullptr && group.first->due_ <= last) {
    Place& place = *group.first;
    dequeue(place);
    Part& part = batch->parts.emplace_back(
        Part{.place = &place, .key = place.key_, .id = place.id_, .details = {}, .details_size = 0});
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
    if (group.first != nullptr) next = std::min(next, group.first->due_);
  }
  return next;
}

}  // namespace redismutex::engine
