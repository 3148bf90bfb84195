#include "net/greeting.hpp"

#include <charconv>
#include <system_error>

namespace redismutex::net {
namespace {

std::string_view text_of(const redisReply& reply) {
  return reply.str == nullptr ? std::string_view{} : std::string_view{reply.str, reply.len};
}

}  // namespace

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

Greeting read_greeting(const redisReply& map) {
  Greeting greeting;
  for (std::size_t i = 0; i + 1 < map.elements; i += 2) {
    const std::string_view field = text_of(*map.element[i]);
    const redisReply& value = *map.element[i + 1];
    if (field == "id" && value.type == REDIS_REPLY_INTEGER) greeting.client_id = value.integer;
    if (field == "server") greeting.server = text_of(value);
    if (field == "version") greeting.version = read_version(text_of(value));
    if (field == "role") greeting.role = text_of(value);
    if (field == "mode") greeting.mode = text_of(value);
  }
  return greeting;
}

}  // namespace redismutex::net
