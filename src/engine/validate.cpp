#include "engine/validate.hpp"

#include <stdexcept>
#include <string>

#include "protocol/lease.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;

constexpr bool can_be_held(std::chrono::milliseconds expiry) {
  return protocol::time_left(protocol::valid_until({}, expiry), {}) > 0ms;
}

constexpr auto shortest_expiry = 4ms;  // the drift leaves nothing of a shorter one
static_assert(can_be_held(shortest_expiry) && !can_be_held(shortest_expiry - 1ms));

std::string in_ms(std::chrono::milliseconds duration) { return std::to_string(duration.count()) + " ms"; }

}  // namespace

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

void validate(const Options& options) {
  check_expiry("Options::expiry", options.expiry);
  if (options.blocking) {
    check_duration("Options::block_time", options.block_time);
    check_duration("Options::delay", options.delay);
    if (options.delay >= options.block_time) {
      throw std::invalid_argument{"Options::delay is " + in_ms(options.delay) + ", must be less than block_time, " +
                                  in_ms(options.block_time)};
    }
    if (options.expiry <= options.block_time) {
      throw std::invalid_argument{"Options::expiry is " + in_ms(options.expiry) + ", must be more than block_time, " +
                                  in_ms(options.block_time)};
    }
  }
  if (options.max_waiters < 1 || options.max_waiters > 1'000'000) {
    throw std::invalid_argument{"Options::max_waiters is " + std::to_string(options.max_waiters) +
                                ", must be from 1 to 1000000"};
  }
  if (options.local_handoffs < 0 || options.local_handoffs > 1'000'000) {
    throw std::invalid_argument{"Options::local_handoffs is " + std::to_string(options.local_handoffs) +
                                ", must be from 0 to 1000000"};
  }
  if (options.max_hold.count() == 0) return;
  check_duration("Options::max_hold", options.max_hold);
  if (!options.auto_renew) throw std::invalid_argument{"Options::max_hold is set, which needs auto_renew"};
  if (options.max_hold < options.expiry) {
    throw std::invalid_argument{"Options::max_hold is " + in_ms(options.max_hold) + ", must be at least expiry, " +
                                in_ms(options.expiry)};
  }
}

}  // namespace redismutex::engine
