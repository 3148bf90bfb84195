#include "protocol/witness.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

#include "protocol/lease.hpp"
#include "protocol/verdict.hpp"

namespace redismutex::protocol {
namespace {

/// In the slot, if there is one.
std::string own_key(std::uint16_t slot) {
  std::string name{Key::prefix};
  if (slot != no_slot) name.append("{").append(word_of(slot)).append("}:");
  return name.append("witness");
}

/// Whether this refusal says no more than that the slot is not all there.
bool concerns_slot(const Answer& answer) {
  if (answer.type != Answer::Type::error) return false;
  const Verdict verdict = protocol::verdict(answer.text);
  return verdict == Verdict::moved || verdict == Verdict::ask || verdict == Verdict::split;
}

/// Of a lock whose lease has so many milliseconds left, as is said by what was asked and answered then. The server counted them at some time
/// in between. What a lease counts less for the drift covers half of that for the way, too; where that is not enough, what is known for sure
/// counts.
Witness::Lock sight(const Witness::Item& item, std::int64_t left_ms, const Answer& when) {
  using Sight = Witness::Sight;
  if (left_ms == 0) return {.sight = Sight::not_there};
  const auto left = std::min(std::chrono::milliseconds{left_ms}, longest_duration);
  if (left_ms < 0 || when.sent_at + left - drift(left) / 2 >= item.until) {
    return {.sight = Sight::there, .until = item.until};
  }
  if (when.now + left < item.until) return {.sight = Sight::not_there};
  return {.sight = Sight::there, .until = valid_until(when.sent_at, left)};
}

}  // namespace

Witness::Witness(std::vector<Item> items, const Terms& terms)
    : items_{std::move(items)},
      wanted_{std::to_string(terms.wanted)},
      within_ms_{std::to_string(terms.within.count())},
      wait_{"WAIT", wanted_, within_ms_} {
  seen_.locks.resize(items_.size());
  divide();
}

/// Into those of one slot each.
void Witness::divide() {
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const std::uint16_t slot = items_[i].slot;
    auto part = std::find_if(parts_.begin(), parts_.end(), [slot](const Part& each) { return each.slot == slot; });
    if (part == parts_.end()) part = parts_.insert(part, {.slot = slot, .own_key = own_key(slot)});
    part->items.push_back(i);
  }
}

void Witness::write(Part& part) const {
  part.key_count = std::to_string(part.items.size() + 1);
  part.arguments.reserve(4 + 2 * part.items.size());
  part.arguments.assign({"EVALSHA", scripts::witness.sha1, part.key_count});
  for (const std::size_t i : part.items) part.arguments.push_back(items_[i].key->text());
  part.arguments.push_back(part.own_key);
  for (const std::size_t i : part.items) part.arguments.push_back(items_[i].id->text());
}

Request Witness::request() {
  more_.clear();
  more_.reserve(parts_.size());
  for (Part& part : parts_) {
    write(part);
    if (&part != &parts_.front()) more_.emplace_back(part.arguments);
  }
  return {.arguments = parts_.front().arguments,
          .script = &scripts::witness,
          .more = more_,
          .next = wait_,
          .needs_next = true};
}

Step Witness::start(Instant /*now*/) { return request(); }

Step Witness::unanswered() { return one_by_one_ ? request_one() : request(); }

/// Whether it could be read. `first`: that in front of all, which tells the time.
bool Witness::take_in(const Part& part, const Answer& answer, const Answer& first) {
  if (answer.type != Answer::Type::integers || answer.integers.size() != part.items.size()) return false;
  for (std::size_t i = 0; i < part.items.size(); ++i) {
    const std::size_t item = part.items[i];
    seen_.locks[item] = sight(items_[item], answer.integers[i], first);
  }
  return true;
}

/// What one of several slots is refused is no matter of the others.
Step Witness::answered(const Answer& answer) {
  if (one_by_one_) return answered_one(answer);
  const bool is_complete = answer.more.size() + 1 == parts_.size();
  const bool goes_by = parts_.size() > 1 && concerns_slot(answer);
  if (!is_complete || (!take_in(parts_.front(), answer, answer) && !goes_by)) {
    outcome_ = refusal(answer, scripts::witness.name);
    return Done{};
  }
  for (std::size_t i = 1; i < parts_.size(); ++i) take_in(parts_[i], answer.more[i - 1], answer);
  seen_.replicas = answer.next;
  outcome_ = std::move(seen_);
  return Done{};
}

// ---- one by one -----------------------------------------------------------------------------------------------------

/// Those of one slot, while it moves.
std::optional<Step> Witness::split(Instant /*now*/) {
  if (one_by_one_ || parts_.size() > 1) return std::nullopt;
  one_by_one_ = true;
  return request_one();
}

Request Witness::request_one() {
  Part& part = parts_.front();
  const Item& item = items_[next_];
  part.arguments.assign({"EVALSHA", scripts::witness.sha1, "1", item.key->text(), item.id->text()});
  return {.arguments = part.arguments, .script = &scripts::witness, .next = wait_, .needs_next = true};
}

/// Enough replicas have all of them if enough have each.
Step Witness::answered_one(const Answer& answer) {
  if (answer.type != Answer::Type::integers || answer.integers.size() != 1) {
    outcome_ = refusal(answer, scripts::witness.name);
    return Done{};
  }
  seen_.replicas = next_ == 0 ? answer.next : std::min(seen_.replicas, answer.next);
  seen_.locks[next_] = sight(items_[next_], answer.integers.front(), answer);
  ++next_;
  if (next_ < items_.size()) return request_one();
  outcome_ = std::move(seen_);
  return Done{};
}

}  // namespace redismutex::protocol
