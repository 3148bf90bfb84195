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
      arguments_{"EVALSHA",  scripts::extend.sha1, "2", key.text(), key.line(), flag(terms.tracking), id.text(),
                 expiry_ms_, flag(terms.longer)} {}

Step Extend::start(Instant /*now*/) {
  return Request{
      .arguments = arguments_, .script = &scripts::extend, .wants_invalidation = terms_.tracking == Tracking::on};
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
  if (!is_list_of(answer, items_.size())) {
    outcome_ = refusal(answer, scripts::extend.name);
    return Done{};
  }
  std::vector<Fate> fates;
  fates.reserve(items_.size());
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (answer.integers[i] <= 0) {
      fates.emplace_back(Extend::Gone{});
    } else if (items_[i].expiry.count() > 0) {
      fates.emplace_back(Extend::Extended{.sent_at = answer.sent_at, .waiting = answer.integers[i] - 1});
    } else {
      fates.emplace_back(Looked{.sent_at = answer.sent_at, .waiting = answer.integers[i] - 1});
    }
  }
  outcome_ = std::move(fates);
  return Done{};
}

Step ExtendMany::unanswered() { return request(); }

}  // namespace redismutex::protocol
