#include "net/greeting.hpp"

#include <charconv>
#include <system_error>

namespace redismutex::net {

Greeting::Version read_version(std::string_view text) {
  Greeting::Version version{};
  for (int& level : version) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), level);
    if (error != std::errc{}) {
      level = 0;
      break;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.starts_with('.')) break;
    text.remove_prefix(1);
  }
  return version;
}

Greeting read_greeting(ReplyView map) {
  Greeting greeting;
  for (auto element = map.begin(); element != map.end(); ++element) {
    const std::string_view field = (*element++).text();
    const ReplyView value = *element;
    if (field == "id" && value.type() == ReplyType::integer) greeting.client_id = value.integer();
    if (field == "server") greeting.server = value.text();
    if (field == "version") greeting.version = read_version(value.text());
    if (field == "role") greeting.role = value.text();
    if (field == "mode") greeting.mode = value.text();
  }
  return greeting;
}

}  // namespace redismutex::net
