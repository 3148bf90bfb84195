#include "protocol/witness.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace redismutex::protocol {
namespace {

/// In the slot, if there is one.
std::string own_key(std::uint16_t slot) {
  std::string name{Key::prefix};
  if (slot != no_slot) name.append("{").append(word_of(slot)).append("}:");
  return name.append("witness");
}

}  // namespace

Witness::Witness(std::vector<Item> items, const Terms& terms)
    : items_{std::move(items)},
      own_key_{own_key(terms.slot)},
      wanted_{std::to_string(terms.wanted)},
      within_ms_{std::to_string(terms.within.count())},
      wait_{"WAIT", wanted_, within_ms_} {
  seen_.theirs.reserve(items_.size());
  arguments_.reserve(4 + 2 * items_.size());
}

/// Of all items, or of the next one.
Request Witness::request() {
  const std::span<const Item> asked =
      one_by_one_ ? std::span{items_}.subspan(seen_.theirs.size(), 1) : std::span{items_};
  key_count_ = std::to_string(one_by_one_ ? 1 : asked.size() + 1);
  arguments_.assign({"EVALSHA", scripts::witness.sha1, key_count_});
  for (const Item& item : asked) arguments_.push_back(item.key->text());
  if (!one_by_one_) arguments_.push_back(own_key_);
  for (const Item& item : asked) arguments_.push_back(item.id->text());
  return {.arguments = arguments_, .script = &scripts::witness, .next = wait_, .needs_next = true};
}

Step Witness::start(Instant /*now*/) { return request(); }

Step Witness::unanswered() { return request(); }

std::optional<Step> Witness::split(Instant /*now*/) {
  if (one_by_one_) return std::nullopt;
  one_by_one_ = true;
  return request();
}

Step Witness::answered(const Answer& answer) {
  const std::size_t asked = one_by_one_ ? 1 : items_.size();
  if (answer.type != Answer::Type::integers || answer.integers.size() != asked) {
    outcome_ = refusal(answer, scripts::witness.name);
    return Done{};
  }
  seen_.replicas = seen_.theirs.empty() ? answer.next : std::min(seen_.replicas, answer.next);
  for (const std::int64_t is_theirs : answer.integers) seen_.theirs.push_back(is_theirs == 1);
  if (seen_.theirs.size() < items_.size()) return request();
  outcome_ = std::move(seen_);
  return Done{};
}

}  // namespace redismutex::protocol
