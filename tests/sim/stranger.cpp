#include "sim/stranger.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/lease.hpp"
#include "sim/plain.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;
using protocol::Instant;

Task<> Stranger::run() {
  for (int round = 0; round < world_.profile.rounds; ++round) {
    co_await process_.sleep(bell_, world_.now() + world_.random.between(Time{0}, habits_.longest_think));
    co_await turn(world_.keys()[world_.random.below(world_.keys().size())]);
  }
}

Task<> Stranger::turn(const protocol::Key& key) {
  static const std::string compare_and_delete =
      "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";
  const protocol::OwnerId id = process_.draw_id();
  const std::string expiry_ms = std::to_string(habits_.expiry.count());
  const std::array<std::string_view, 6> set{"SET", key.text(), id.text(), "NX", "PX", expiry_ms};
  const std::array<std::string_view, 5> del{"EVAL", compare_and_delete, "1", key.text(), id.text()};
  Event event{.kind = Event::Kind::want,
              .client = process_.client(0),
              .key = std::string{key.text()},
              .id = std::string{id.text()},
              .note = "stranger"};
  world_.record(event);
  for (int attempt = 0; attempt < 50; ++attempt) {
    Plain asks{set};
    co_await process_.run(bell_, asks, process_.patience());
    if (!asks.answer()) co_return;  // its key expires by itself, if it has it
    const Instant valid_until = protocol::valid_until(asks.answer()->sent_at, habits_.expiry);
    if (asks.answer()->type == protocol::Answer::Type::text && process_.now() < valid_until) {
      event.kind = Event::Kind::inside;
      event.until = process_.when(valid_until);
      const Time until = event.until;
      world_.record(event);
      co_await process_.sleep(bell_,
                              std::min(until, world_.now() + world_.random.between(Time{0}, habits_.longest_stay)));
      event.kind = Event::Kind::release;
      world_.record(std::move(event));
      Plain gives_back{del};
      co_await process_.run(bell_, gives_back, process_.patience());
      co_return;
    }
    co_await process_.sleep(bell_, world_.now() + world_.random.between(10ms, 100ms));
  }
}

}  // namespace redismutex::sim
