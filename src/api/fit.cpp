#include "api/fit.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "api/validate.hpp"
#include "protocol/label.hpp"
#include "protocol/lease.hpp"

namespace redismutex::api {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// Where nothing is said. They are those of the Python original.
constexpr milliseconds usual_block_time = 5s;
constexpr milliseconds usual_delay = 500ms;
constexpr milliseconds usual_expiry = 7s;

// A delay is less than the block time, which is less than the lease: these bounds leave room for the other two.
constexpr milliseconds shortest_delay = 1ms;
constexpr milliseconds shortest_block_time = 2ms;
constexpr milliseconds longest_delay = protocol::longest_duration - 2ms;
constexpr milliseconds longest_block_time = protocol::longest_duration - 1ms;

void check_range(std::string_view field, milliseconds value, milliseconds least, milliseconds most) {
  if (least <= value && value <= most) return;
  throw std::invalid_argument{"Options::" + std::string{field} + " is " + in_ms(value) + ", must be from " +
                              std::to_string(least.count()) + " to " + in_ms(most)};
}

void check_count(std::string_view field, int value, int least) {
  constexpr int most = 1'000'000;
  if (least <= value && value <= most) return;
  throw std::invalid_argument{"Options::" + std::string{field} + " is " + std::to_string(value) + ", must be from " +
                              std::to_string(least) + " to " + std::to_string(most)};
}

/// Whether a wait has to be shorter than the lease.
bool waits_within_lease(const Options& options) { return options.blocking && !options.auto_renew; }

void check_each(const Options& options) {
  if (options.expiry) check_expiry("Options::expiry", *options.expiry);
  if (options.block_time && options.blocking) {
    check_range("block_time", *options.block_time, shortest_block_time, longest_block_time);
  }
  if (options.delay) check_range("delay", *options.delay, shortest_delay, longest_delay);
  check_count("max_waiters", options.max_waiters, 1);
  check_count("local_handoffs", options.local_handoffs, 0);
  if (options.replicas.kind() == Replicas::Kind::number) check_count("replicas", options.replicas.count(), 0);
  if (options.label.size() > protocol::longest_label_text) {
    throw std::invalid_argument{"Options::label has " + std::to_string(options.label.size()) + " bytes, at most " +
                                std::to_string(protocol::longest_label_text) + " are allowed"};
  }
  if (options.max_hold == 0ms) return;
  check_duration("Options::max_hold", options.max_hold);
  if (!options.auto_renew) throw std::invalid_argument{"Options::max_hold is set, which needs auto_renew"};
}

[[noreturn]] void contradiction(const std::string& what, std::string_view other_remedy = {}) {
  throw std::invalid_argument{"Options::" + what + "; leave one of the two out, and it is fitted to the other" +
                              std::string{other_remedy}};
}

/// What is said must not contradict itself.
void check_together(const Options& options) {
  constexpr std::string_view renew = "; or set auto_renew: then a wait may be longer than the lease";
  const auto& block_time = options.block_time;
  const auto& delay = options.delay;
  const auto& expiry = options.expiry;
  if (options.blocking && block_time && delay && *delay >= *block_time) {
    contradiction("delay is " + in_ms(*delay) + ", must be less than block_time, " + in_ms(*block_time));
  }
  if (!waits_within_lease(options) || !expiry) return;
  if (block_time && *expiry <= *block_time) {
    contradiction("expiry is " + in_ms(*expiry) + ", must be more than block_time, " + in_ms(*block_time), renew);
  }
  if (!block_time && delay && *expiry < *delay + 2ms) {
    contradiction("delay is " + in_ms(*delay) + ", must be at least 2 ms less than expiry, " + in_ms(*expiry) +
                      ", so that block_time fits between them",
                  renew);
  }
}

milliseconds fitting_block_time(const Options& options) {
  const milliseconds delay = options.delay.value_or(shortest_delay);
  milliseconds block_time = std::max(usual_block_time, 10 * delay);
  if (waits_within_lease(options) && options.expiry) block_time = std::min(block_time, *options.expiry * 5 / 7);
  return std::clamp(block_time, delay + 1ms, longest_block_time);
}

}  // namespace

Options fit(Options options) {
  check_each(options);
  check_together(options);
  const milliseconds fitting = fitting_block_time(options);
  // One that is said in a mutex that does not wait is not used, and may be anything.
  const milliseconds block_time = options.blocking ? options.block_time.value_or(fitting) : fitting;
  if (!options.block_time) options.block_time = fitting;
  if (!options.delay) options.delay = std::clamp(block_time / 10, shortest_delay, usual_delay);
  if (!options.expiry) {
    const milliseconds longer = waits_within_lease(options) ? block_time * 7 / 5 : 0ms;
    options.expiry = std::clamp(longer, usual_expiry, protocol::longest_duration);
  }
  if (options.max_hold != 0ms && options.max_hold < *options.expiry) {
    throw std::invalid_argument{"Options::max_hold is " + in_ms(options.max_hold) + ", must be at least expiry, " +
                                in_ms(*options.expiry) + "; say a shorter expiry or a longer max_hold"};
  }
  return options;
}

}  // namespace redismutex::api
