#include "engine/lane_flight.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>
#include <variant>

#include "protocol/verdict.hpp"
#include "route/environment.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;
using protocol::Witness;
using Company = Lane::Member::Company;
using State = Lane::Member::State;
using Kind = route::Failure::Kind;
using namespace std::chrono_literals;

// One WAIT holds up those that want fewer replicas, or come later. So it ends after this time, and who has more time asks again.
constexpr std::chrono::milliseconds longest_wait = 250ms;
constexpr std::chrono::milliseconds shortest_wait = 1ms;  // 0 would be without end

// Until the next attempt to reach the server that the other connection leads to.
constexpr std::chrono::milliseconds between_attempts{50};

// With less left nobody asks again.
constexpr std::chrono::milliseconds least_left = 2ms;

/// So that the answer comes in time.
std::chrono::milliseconds time_to_wait(Instant::duration left, std::chrono::milliseconds most) {
  return std::clamp(std::chrono::floor<std::chrono::milliseconds>(left * 7 / 8), shortest_wait,
                    std::clamp(most, shortest_wait, longest_wait));
}

std::shared_ptr<const Lane::Trouble> shared(Lane::Trouble trouble) {
  return std::make_shared<const Lane::Trouble>(std::move(trouble));
}

std::shared_ptr<const Lane::Trouble> part_of_none() {
  return shared(protocol::Refusal{.code = "NOREPLICAS",
                                  .text = "Options::replicas wants a part of the server's replicas, and it has none, "
                                          "as far as is known"});
}

}  // namespace

LaneFlight::~LaneFlight() {
  if (!is_over_) land([](Member&) { return false; });
}

route::Procedure::Step LaneFlight::start(Instant now) {
  const bool counts = gather(now);
  if (items_.empty()) return land([](Member&) { return false; });
  return counts ? count(now) : ask(now);
}

route::Procedure::Step LaneFlight::resume(Event&& event, Instant now) {
  if (std::holds_alternative<Reached>(event)) {
    route::Server& server = conversation_->server();
    if (server.has_parted_from(server.lane())) return leave(now);
  }
  return go_on(conversation_->resume(std::move(event), now), now);
}

/// It has reached another server than requests do, because sentinels do not all hear at once who is the master: so that is looked up anew until
/// both agree. That is no refusal of that server's, and ends no question but by its time.
route::Procedure::Step LaneFlight::leave(Instant now) {
  constexpr std::string_view why = "it is not the server that requests are sent to";
  if (now + least_left >= until_) return settle(shared(route::Failure{Kind::timed_out, std::string{why}}), now);
  const Sleep then{.until = std::min<Instant>(until_ - least_left, now + between_attempts)};
  // Where requests will go is not known yet: that may be there.
  if (conversation_->server().is_replaced()) return then;
  return Leave{.refusal = why, .then = then, .kind = Kind::unreachable};
}

/// With the lock held: those that it asks for, as far as there is room. Throws std::bad_alloc.
std::vector<Lane::Member*> LaneFlight::choose(Member& first, Instant now) {
  std::vector<Member*> chosen;
  std::vector<std::uint16_t> slots;
  for (Member* one = &first; one != nullptr; one = route::List<Member>::next(*one)) {
    const std::uint16_t slot = one->terms_.slot;
    const bool is_new = std::find(slots.begin(), slots.end(), slot) == slots.end();
    const bool has_room = one == &first || (items_.size() + one->items_.size() <= Witness::most_items &&
                                            (!is_new || slots.size() < Witness::most_slots));
    if (!lane_->go_together(first, *one, now) || !has_room) continue;
    if (is_new) slots.push_back(slot);
    chosen.push_back(one);
    for (const Lane::Item& item : one->items_) {
      items_.push_back(item);
      slots_.push_back(slot);
    }
  }
  are_of_many_slots_ = slots.size() > 1;
  are_several_ = chosen.size() > 1;
  return chosen;
}

/// Takes those in that it asks for: the leader, and others. Whether the replicas are to be counted.
bool LaneFlight::gather(Instant now) {
  const std::lock_guard lock{lane_->mutex_};
  Member* const first = leader_ != nullptr ? leader_ : lane_->waiting_.first();
  if (first == nullptr) return false;
  lane_->waiting_.remove(*first);
  lane_->waiting_.prepend(*first);
  // First what may throw.
  const std::vector<Member*> taken = choose(*first, now);
  rests_.reserve(taken.size());
  std::size_t items = 0;
  for (Member* const member : taken) {
    lane_->waiting_.remove(*member);
    lane_->asked_.append(*member);
    member->state_ = State::asked;
    member->first_ = std::exchange(items, items + member->items_.size());
    until_ = std::min(until_, member->terms_.until);
  }
  return lane_->has_to_count(*first, now);
}

Conversation::Terms LaneFlight::terms() const noexcept {
  Conversation::Terms terms = lane_->setting().terms(until_);
  terms.by_lane = true;
  return terms;
}

route::Procedure::Step LaneFlight::count(Instant now) {
  using From = protocol::CountReplicas::From;
  const Setting& setting = lane_->setting();
  count_.emplace(setting.router().cluster() != nullptr ? From::cluster : From::server);
  Conversation::Terms at_it = terms();
  at_it.at = &lane_->server();
  conversation_.emplace(setting.environment(), setting.router(), *count_, at_it);
  return go_on(conversation_->start(now), now);
}

route::Procedure::Step LaneFlight::ask(Instant now) {
  const Setting& setting = lane_->setting();
  std::int64_t wanted = std::numeric_limits<std::int64_t>::max();
  {
    const std::lock_guard lock{lane_->mutex_};
    using Members = route::List<Member>;
    for (Member* member = lane_->asked_.first(); member != nullptr; member = Members::next(*member)) {
      member->wanted_ = lane_->wanted_by(*member);
      wanted = std::min(wanted, member->wanted_);
    }
  }
  if (wanted == 0) return settle(part_of_none(), now);
  std::vector<Witness::Item> items;
  items.reserve(items_.size());
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const Lane::Item& item = items_[i];
    items.push_back({.key = &item.key, .id = &item.id, .until = item.lasts_until, .slot = slots_[i]});
  }
  const auto within = time_to_wait(until_ - now, setting.longest_answer() / 2);
  witness_.emplace(std::move(items), Witness::Terms{.wanted = wanted, .within = within});
  Conversation::Terms at_it = terms();
  // Where they all are, as far as is known. Those of one slot are followed.
  if (are_of_many_slots_) at_it.at = &lane_->server();
  conversation_.emplace(setting.environment(), setting.router(), *witness_, at_it);
  return go_on(conversation_->start(now), now);
}

route::Procedure::Step LaneFlight::go_on(Step step, Instant now) {
  if (!std::holds_alternative<Done>(step)) return step;
  return witness_ ? answered(now) : counted(now);
}

route::Procedure::Step LaneFlight::counted(Instant now) {
  if (const auto& failure = conversation_->failure()) return settle(shared(*failure), now);
  if (const auto* refusal = std::get_if<protocol::Refusal>(&count_->outcome())) return settle(shared(*refusal), now);
  const std::int64_t said = std::get<std::int64_t>(count_->outcome());
  {
    const std::lock_guard lock{lane_->mutex_};
    // A server without a cluster tells only of those that are connected.
    const bool is_exact = lane_->setting().router().cluster() != nullptr;
    const std::int64_t named = lane_->server().lane().named_replicas();
    lane_->replicas_ = is_exact ? said : std::max({said, named, lane_->replicas_.value_or(0)});
    lane_->counted_at_ = now;
  }
  return ask(now);
}

route::Procedure::Step LaneFlight::answered(Instant now) {
  if (const auto& failure = conversation_->failure()) return settle(shared(*failure), now);
  if (const auto* refusal = std::get_if<protocol::Refusal>(&witness_->outcome())) return settle(shared(*refusal), now);
  return concluded(std::get<Witness::Seen>(witness_->outcome()), now);
}

/// Something went wrong. That one driver has no more time, or was stopped, is no matter of the others. No answer in time means that too few are
/// known to have it.
route::Procedure::Step LaneFlight::settle(const std::shared_ptr<const Lane::Trouble>& trouble, Instant now) {
  const auto* const failure = std::get_if<route::Failure>(&*trouble);
  const bool is_cancelled = failure != nullptr && failure->kind == Kind::cancelled;
  const bool is_late = failure != nullptr && failure->kind == Kind::timed_out;
  // Another server may have its place by now, or some of its slots.
  const bool is_away = failure != nullptr && failure->kind == Kind::unreachable && are_of_many_slots_;
  const auto* const refusal = std::get_if<protocol::Refusal>(&*trouble);
  const bool may_be_of_one =
      are_several_ && witness_ && refusal != nullptr && may_concern_one_key(protocol::verdict(refusal->text));
  return land([&](Member& member) {
    const bool has_time = member.terms_.until > now + least_left;
    if (is_away) member.company_ = std::max(member.company_, Company::of_its_slot);
    if (may_be_of_one) {
      member.company_ = Company::none;
      member.refused_ = trouble;
    }
    const bool goes_on = is_cancelled || ((is_late || is_away || may_be_of_one) && has_time);
    if (!goes_on && !is_late) member.trouble_ = trouble;
    return !goes_on;
  });
}

route::Procedure::Step LaneFlight::concluded(const Witness::Seen& seen, Instant now) {
  using Sight = Witness::Sight;
  return land([&](Member& member) {
    const auto first = seen.locks.begin() + static_cast<std::ptrdiff_t>(member.first_);
    const auto end = first + static_cast<std::ptrdiff_t>(member.items_.size());
    const auto is_any = [first, end](Sight sight) {
      return std::any_of(first, end, [sight](const Witness::Lock& lock) { return lock.sight == sight; });
    };
    const bool is_late = member.terms_.until <= now + least_left;
    member.refused_.reset();
    if (is_any(Sight::not_said)) {
      member.company_ = std::max(member.company_, Company::of_its_slot);
      return is_late;
    }
    for (std::size_t i = 0; i < member.items_.size(); ++i) {
      const Witness::Lock& lock = seen.locks[member.first_ + i];
      const bool is_there = lock.sight == Sight::there && lock.until > now;
      member.items_[i].there_until = is_there ? std::optional{lock.until} : std::nullopt;
    }
    member.had_ = seen.replicas;
    return member.is_confirmed() || !is_any(Sight::there) || is_late;
  });
}

/// `judge`: whether a member is over; else it goes back, behind all who came meanwhile: they may not go together with it. Nothing may fail here.
template <class Judge>
route::Procedure::Step LaneFlight::land(const Judge& judge) {
  is_over_ = true;
  Lane::Next next;
  const Member* back = nullptr;
  {
    const std::lock_guard lock{lane_->mutex_};
    while (Member* const member = lane_->asked_.first()) {
      lane_->asked_.remove(*member);
      if (judge(*member)) {
        rests_.push_back(lane_->settle(*member, member->trouble_));
      } else {
        lane_->waiting_.append(*member);
        member->state_ = State::waiting;
        if (back == nullptr) back = member;
      }
    }
    next = lane_->hand_on(back);
  }
  for (const route::Waker::Rest& rest : rests_) rest.finish();
  lane_->carry_out(next);
  return Done{};
}

}  // namespace redismutex::engine
