#include "protocol/info.hpp"

#include <algorithm>

namespace redismutex::protocol {

std::string_view info_value(std::string_view info, std::string_view field) {
  while (!info.empty()) {
    const std::string_view line = info.substr(0, info.find('\n'));
    info.remove_prefix(std::min(info.size(), line.size() + 1));
    if (!line.starts_with(field) || line.substr(field.size(), 1) != ":") continue;
    std::string_view value = line.substr(field.size() + 1);
    if (value.ends_with('\r')) value.remove_suffix(1);
    return value;
  }
  return {};
}

}  // namespace redismutex::protocol
