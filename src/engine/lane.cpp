#include "engine/lane.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "engine/lane_flight.hpp"

namespace redismutex::engine {

using protocol::Instant;
using State = Lane::Member::State;

namespace {

// How many replicas there are is counted again after this time, because somebody may add one.
constexpr std::chrono::seconds between_counts{1};

}  // namespace

/// Leads where no caller does.
class Lane::Errand final : public route::Background::Operation {
 public:
  explicit Errand(const std::shared_ptr<Lane>& lane) : lane_{lane} { flight_.emplace(lane, nullptr); }

  route::Procedure& procedure() noexcept override { return *flight_; }

  void over(End end) noexcept override {
    if (end == End::done) return;
    // Else another one would be started, which comes to the same end.
    flight_->abandon();
    lane_->give_up("it was given up");
  }

 private:
  const std::shared_ptr<Lane> lane_;
  std::optional<LaneFlight> flight_;
};

void Lane::enter(Member& member) noexcept {
  {
    const std::lock_guard lock{mutex_};
    member.state_ = State::waiting;
    waiting_.append(member);
    if (is_led_) return;
    is_led_ = true;
    if (member.may_lead_) {
      leader_ = &member;
      member.state_ = State::leads;
      return;
    }
  }
  carry_out({.rest = {}, .in_background = true});
}

State Lane::look(const Member& member) {
  const std::lock_guard lock{mutex_};
  return member.state_;
}

void Lane::leave(Member& member) noexcept {
  Next next;
  {
    const std::lock_guard lock{mutex_};
    if (member.state_ == State::asked) {
      asked_.remove(member);
    } else {
      waiting_.remove(member);
    }
    const bool was_to_lead = member.state_ == State::leads;
    member.state_ = State::outside;
    if (was_to_lead) next = hand_on();
  }
  carry_out(next);
}

/// With the lock held: whether it wants a part of the replicas, and how many there are is not known, or not any more.
bool Lane::has_to_count(const Member& member, Instant now) const noexcept {
  if (member.terms_.replicas.kind() == Replicas::Kind::number) return false;
  return replicas_.value_or(0) == 0 || counted_at_ + between_counts <= now;
}

/// With the lock held. All that one server has can be asked for at once. But counting may be in vain, or take long: that is no matter of those
/// that want a number.
bool Lane::go_together(const Member& one, const Member& other, Instant now) const noexcept {
  using Company = Member::Company;
  if (one.company_ == Company::none || other.company_ == Company::none) return &one == &other;
  if (one.company_ != other.company_ || has_to_count(one, now) != has_to_count(other, now)) return false;
  return one.company_ != Company::of_its_slot || one.terms_.slot == other.terms_.slot;
}

/// With the lock held: the first that does not go together with this one, if there is one, which has come back from a question; else the first of
/// all. So those that ask again and again hold up the others for one question at the most.
Lane::Member* Lane::next_of_others(const Member* back, Instant now) const noexcept {
  Member* member = back != nullptr ? waiting_.first() : nullptr;
  while (member != nullptr && go_together(*back, *member, now)) member = route::List<Member>::next(*member);
  return member != nullptr ? member : waiting_.first();
}

/// With the lock held, by the one who led: the next leads, one of those that go along with the first. `back`: has come back from a question.
Lane::Next Lane::hand_on(const Member* back) noexcept {
  leader_ = nullptr;
  const Instant now = setting_.now();
  Member* const first = next_of_others(back, now);
  is_led_ = first != nullptr;
  if (first == nullptr) return {};
  for (Member* member = waiting_.first(); member != nullptr; member = route::List<Member>::next(*member)) {
    if (!member->may_lead_ || !go_together(*first, *member, now)) continue;
    leader_ = member;
    member->state_ = State::leads;
    return {.rest = member->waker_.begin_wake()};
  }
  // The Background begins with whoever stands first.
  waiting_.remove(*first);
  waiting_.prepend(*first);
  return {.rest = {}, .in_background = true};
}

/// Without the lock.
void Lane::carry_out(const Next& next) noexcept {
  next.rest.finish();
  if (!next.in_background) return;
  try {
    setting_.background().start(std::make_shared<Errand>(shared_from_this()));
  } catch (const std::exception& error) {  // no memory, no thread
    give_up(error.what());
  }
}

/// Nobody leads any more: all of them are over.
void Lane::give_up(std::string_view why) noexcept {
  std::shared_ptr<const Trouble> trouble;
  try {
    trouble = std::make_shared<const Trouble>(route::Failure{route::Failure::Kind::exhausted, std::string{why}});
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then it is not said why
  }
  const std::lock_guard lock{mutex_};
  leader_ = nullptr;
  is_led_ = false;
  for (route::List<Member>* list : {&asked_, &waiting_}) {
    while (Member* const member = list->first()) {
      list->remove(*member);
      settle(*member, trouble).finish();
    }
  }
}

/// With the lock held, and in no list. The last thing that is done with it.
route::Waker::Rest Lane::settle(Member& member, const std::shared_ptr<const Trouble>& trouble) noexcept {
  member.trouble_ = trouble;
  member.state_ = State::over;
  return member.waker_.begin_wake();
}

/// With the lock held; 0: that many are not known.
std::int64_t Lane::wanted_by(const Member& member) const noexcept {
  const Replicas wanted = member.terms_.replicas;
  if (wanted.kind() == Replicas::Kind::number) return wanted.count();
  const std::int64_t configured = replicas_.value_or(0);
  if (configured == 0 || wanted.kind() == Replicas::Kind::all) return configured;
  return configured / 2 + 1;
}

Lane::Trouble Lane::Member::why_not(std::chrono::milliseconds waited) const {
  if (const auto& said = trouble_ ? trouble_ : refused_) return *said;
  const bool is_lost = std::any_of(items_.begin(), items_.end(), [](const Item& item) { return !item.there_until; });
  std::string text;
  if (wanted_ == 0) {
    text = "the server's replicas were not counted within " + std::to_string(waited.count()) + " ms";
  } else if (is_confirmed() && is_lost) {
    text = "the server that was to confirm it does not have it, or not for as long";
  } else {
    text = std::to_string(had_) + " of the " + std::to_string(wanted_) +
           " replicas that Options::replicas wants are known to have it after " + std::to_string(waited.count()) +
           " ms";
  }
  return protocol::Refusal{.code = "NOREPLICAS", .text = std::move(text)};
}

std::shared_ptr<Lane> Lanes::of(const protocol::Key& key) {
  route::Server& server = setting_.router().server_of(key);
  const std::lock_guard lock{mutex_};
  std::shared_ptr<Lane>& lane = lanes_[&server];
  if (!lane) lane = std::make_shared<Lane>(setting_, server);
  return lane;
}

}  // namespace redismutex::engine
