#include "protocol/extend.hpp"

#include <utility>

namespace redismutex::protocol {
namespace {

std::string_view flag(Tracking tracking) { return tracking == Tracking::on ? "1" : "0"; }
std::string_view flag(Longer longer) { return longer == Longer::stays ? "1" : "0"; }

bool is_list_of(const Answer& answer, std::size_t count) {
  return answer.type == Answer::Type::integers && answer.integers.size() == count;
}

}  // namespace

Extend::Extend(const Key& key, const OwnerId& id, const Terms& terms)
    : key_{key},
      terms_{terms},
      expiry_ms_{std::to_string(terms.expiry.count())},
      id_{id},
      arguments_{"EVALSHA",  scripts::extend.sha1, "2", key.text(), key.line(), flag(terms.tracking), id.text(),
                 expiry_ms_, flag(terms.longer)} {}

Step Extend::start(Instant /*now*/) {
  return Request{.arguments = Arguments{arguments_}.first(argument_count_),
                 .script = &scripts::extend,
                 .wants_invalidation = terms_.tracking == Tracking::on};
}

/// How many wait is unknown then.
std::optional<Step> Extend::split(Instant now) {
  if (argument_count_ < arguments_.size()) return std::nullopt;
  arguments_ = {"EVALSHA",  scripts::extend.sha1, "1", key_.text(), flag(terms_.tracking), id_.text(),
                expiry_ms_, flag(terms_.longer)};
  argument_count_ = arguments_.size() - 1;
  return start(now);
}

Step Extend::answered(const Answer& answer) {
  if (!is_list_of(answer, 1)) {
    outcome_ = refusal(answer, scripts::extend.name);
  } else if (answer.integers[0] > 0) {
    outcome_ = Extended{.sent_at = answer.sent_at, .waiting = answer.integers[0] - 1};
  }
  return Done{};
}

Step Extend::unanswered() {
  in_doubt_ = true;
  return start({});
}

ExtendMany::ExtendMany(std::vector<Item> items, Tracking tracking)
    : items_{std::move(items)}, tracking_{tracking}, key_count_{std::to_string(2 * items_.size())} {
  numbers_.reserve(items_.size());
  arguments_.reserve(4 + 5 * items_.size());
  arguments_.assign({"EVALSHA", scripts::extend.sha1, key_count_});
  for (const Item& item : items_) arguments_.insert(arguments_.end(), {item.key->text(), item.key->line()});
  arguments_.push_back(flag(tracking));
  for (const Item& item : items_) {
    const std::string& expiry_ms = numbers_.emplace_back(std::to_string(item.expiry.count()));
    arguments_.insert(arguments_.end(), {item.id->text(), expiry_ms, flag(Longer::stays)});
  }
}

Request ExtendMany::request() const {
  return {.arguments = arguments_, .script = &scripts::extend, .wants_invalidation = tracking_ == Tracking::on};
}

Step ExtendMany::start(Instant /*now*/) { return request(); }

Step ExtendMany::answered(const Answer& answer) {
  if (!is_list_of(answer, one_by_one_ ? 1 : items_.size())) {
    outcome_ = refusal(answer, scripts::extend.name);
    return Done{};
  }
  if (one_by_one_) return answered_one(answer);
  std::vector<Fate> fates;
  fates.reserve(items_.size());
  for (std::size_t i = 0; i < items_.size(); ++i) {
    fates.push_back(fate_of(items_[i], answer.integers[i], answer.sent_at));
  }
  outcome_ = std::move(fates);
  return Done{};
}

ExtendMany::Fate ExtendMany::fate_of(const Item& item, std::int64_t said, Instant sent_at) {
  if (said <= 0) return Extend::Gone{};
  if (item.expiry.count() > 0) return Extend::Extended{.sent_at = sent_at, .waiting = said - 1};
  return Looked{.sent_at = sent_at, .waiting = said - 1};
}

Step ExtendMany::unanswered() { return one_by_one_ ? request_one() : request(); }

// ---- one by one -----------------------------------------------------------------------------------------------------

/// How many wait is unknown then.
std::optional<Step> ExtendMany::split(Instant /*now*/) {
  if (one_by_one_) return std::nullopt;
  one_by_one_ = true;
  fates_.reserve(items_.size());
  return request_one();
}

Request ExtendMany::request_one() {
  const std::size_t index = fates_.size();
  const Item& item = items_[index];
  arguments_.assign({"EVALSHA", scripts::extend.sha1, "1", item.key->text(), flag(tracking_), item.id->text(),
                     numbers_[index], flag(Longer::stays)});
  return request();
}

Step ExtendMany::answered_one(const Answer& answer) {
  fates_.push_back(fate_of(items_[fates_.size()], answer.integers[0], answer.sent_at));
  if (fates_.size() < items_.size()) return request_one();
  outcome_ = std::move(fates_);
  return Done{};
}

}  // namespace redismutex::protocol
