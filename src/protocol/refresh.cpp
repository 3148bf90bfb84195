#include "protocol/refresh.hpp"

#include <utility>

#include "protocol/lease.hpp"

namespace redismutex::protocol {

Refresh::Refresh(const std::vector<Item>& items, std::chrono::milliseconds delay)
    : key_{items.front().key},
      count_{items.size()},
      key_count_{std::to_string(2 * items.size())},
      window_ms_{std::to_string(liveness_window(delay).count())} {
  arguments_.reserve(4 + 4 * items.size());
  arguments_.assign({"EVALSHA", scripts::refresh.sha1, key_count_});
  for (const Item& item : items) arguments_.insert(arguments_.end(), {item.key->text(), item.key->line()});
  arguments_.push_back(window_ms_);
  for (const Item& item : items) arguments_.insert(arguments_.end(), {item.id->text(), item.details});
}

Request Refresh::request() const { return {.arguments = arguments_, .script = &scripts::refresh}; }

Step Refresh::start(Instant /*now*/) { return request(); }

Step Refresh::answered(const Answer& answer) {
  if (answer.type != Answer::Type::integers || answer.integers.size() != count_) {
    outcome_ = refusal(answer, scripts::refresh.name);
    return Done{};
  }
  std::vector<Refreshed> places;
  places.reserve(count_);
  for (const std::int64_t place : answer.integers) {
    places.push_back(place == 2 ? Refreshed::first : place == 1 ? Refreshed::renewed : Refreshed::no_place);
  }
  outcome_ = std::move(places);
  return Done{};
}

Step Refresh::unanswered() { return request(); }

}  // namespace redismutex::protocol
