#include "protocol/info.hpp"

#include <algorithm>

namespace redismutex::protocol {
namespace {

/// Takes the first line off `info`, without its end.
std::string_view next_line(std::string_view& info) {
  std::string_view line = info.substr(0, info.find('\n'));
  info.remove_prefix(std::min(info.size(), line.size() + 1));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

std::string_view info_value(std::string_view info, std::string_view field) {
  while (!info.empty()) {
    const std::string_view line = next_line(info);
    if (line.starts_with(field) && line.substr(field.size(), 1) == ":") return line.substr(field.size() + 1);
  }
  return {};
}

AskInfo::AskInfo(std::string_view section) {
  if (!section.empty()) arguments_.push_back(section);
}

Step AskInfo::start(Instant /*now*/) { return Request{.arguments = arguments_}; }

Step AskInfo::answered(const Answer& answer) {
  if (answer.type != Answer::Type::text) {
    outcome_ = refusal(answer, "INFO");
    return Done{};
  }
  Fields fields;
  for (std::string_view info = answer.text; !info.empty();) {
    const std::string_view line = next_line(info);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && !line.starts_with('#')) {
      fields.emplace(line.substr(0, colon), line.substr(colon + 1));
    }
  }
  outcome_ = std::move(fields);
  return Done{};
}

Step AskInfo::unanswered() { return Request{.arguments = arguments_}; }

}  // namespace redismutex::protocol
