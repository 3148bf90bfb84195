#include "api/validate.hpp"

#include <stdexcept>
#include <string>

#include "protocol/lease.hpp"

namespace redismutex::api {
namespace {

using namespace std::chrono_literals;

constexpr bool can_be_held(std::chrono::milliseconds expiry) {
  return protocol::time_left(protocol::valid_until({}, expiry), {}) > 0ms;
}

constexpr auto shortest_expiry = 4ms;  // the drift leaves nothing of a shorter one
static_assert(can_be_held(shortest_expiry) && !can_be_held(shortest_expiry - 1ms));

}  // namespace

std::string in_ms(std::chrono::milliseconds duration) { return std::to_string(duration.count()) + " ms"; }

void check_duration(std::string_view field, std::chrono::milliseconds duration) {
  if (duration.count() <= 0) {
    throw std::invalid_argument{std::string{field} + " is " + in_ms(duration) + ", must be more than 0"};
  }
  if (duration > protocol::longest_duration) {
    throw std::invalid_argument{std::string{field} + " is " + in_ms(duration) + ", must be at most " +
                                in_ms(protocol::longest_duration)};
  }
}

void check_expiry(std::string_view field, std::chrono::milliseconds expiry) {
  if (expiry < shortest_expiry) {
    throw std::invalid_argument{std::string{field} + " is " + in_ms(expiry) + ", must be at least " +
                                in_ms(shortest_expiry) + ": 1 % + 2 ms are taken off for clock drift"};
  }
  check_duration(field, expiry);
}

}  // namespace redismutex::api
