#include "protocol/scan.hpp"

#include <utility>

namespace redismutex::protocol {

Scan::Scan(std::string_view cursor, std::string_view pattern, std::size_t count, Types types)
    : count_{std::to_string(count)}, arguments_{"SCAN", cursor, "MATCH", pattern, "COUNT", count_} {
  if (types == Types::strings) arguments_.insert(arguments_.end(), {"TYPE", "string"});
}

Step Scan::start(Instant /*now*/) { return Request{.arguments = arguments_}; }

Step Scan::answered(const Answer& answer) {
  // The cursor, and then the keys, which the server has in a list of their own.
  if (answer.type != Answer::Type::texts || answer.texts.empty() || !answer.texts.front()) {
    outcome_ = refusal(answer, "SCAN");
    return Done{};
  }
  Page page{.cursor = std::string{*answer.texts.front()}};
  page.keys.reserve(answer.texts.size() - 1);
  for (std::size_t i = 1; i < answer.texts.size(); ++i) {
    if (answer.texts[i]) page.keys.emplace_back(*answer.texts[i]);
  }
  outcome_ = std::move(page);
  return Done{};
}

Step Scan::unanswered() { return Request{.arguments = arguments_}; }

Step CountKeys::start(Instant /*now*/) { return Request{.arguments = arguments_}; }

Step CountKeys::answered(const Answer& answer) {
  if (answer.type == Answer::Type::integer && answer.integer >= 0) count_ = static_cast<std::size_t>(answer.integer);
  return Done{};
}

Step CountKeys::unanswered() { return Request{.arguments = arguments_}; }

}  // namespace redismutex::protocol
