#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/places.hpp"
#include "engine/wake_ups.hpp"
#include "protocol/acquire.hpp"
#include "unit/engine/engine.hpp"

namespace redismutex::engine::testing {

/// Waits for a lock, as a thread of its own does.
class Waiter {
 public:
  Waiter(Engine& engine, std::string_view name, std::chrono::milliseconds delay, Instant::duration patience = 1h)
      : key{name},
        id{engine.new_id()},
        mailbox{engine.world.known.pushes().mailbox(engine.router().slot_of(key))},
        machine{key,
                id,
                {.expiry = 10s,
                 .wait_until = engine.world.now() + patience,
                 .delay = delay,
                 .mailbox = mailbox,
                 .expect_line = true}},
        conversation{engine},
        inbox{engine.session->wake_ups(), key, id, conversation},
        place{engine.session->places(), key, id, machine, delay} {
    conversation.go(engine, machine,
                    {.deadline = engine.world.now() + patience, .patience = 2s, .inbox = &inbox, .keeper = &place});
  }

  /// Counts how often the waiter is woken.
  class Counted final : public route::Procedure, public route::Waker {
   public:
    explicit Counted(Engine& engine) : drive{engine.world, *this, [this] { over = true; }} {}
    void go(Engine& engine, protocol::Acquire& machine, const engine::Conversation::Terms& terms) {
      inner.emplace(engine.world.environment, engine.router(), machine, terms);
      drive.start();
    }
    Step start(Instant now) override { return inner->start(now); }
    Step resume(Event&& event, Instant now) override {
      if (std::holds_alternative<Woken>(event)) ++woken;
      return inner->resume(std::move(event), now);
    }
    void wake() noexcept override { drive.wake(); }

    std::optional<engine::Conversation> inner;
    Drive drive;
    int woken = 0;
    bool over = false;
  };

  bool holds() const { return std::holds_alternative<protocol::Acquire::Held>(machine.outcome()); }

  const protocol::Key key;
  const protocol::OwnerId id;
  const std::string mailbox;
  protocol::Acquire machine;
  Counted conversation;
  engine::Inbox inbox;
  Places::Place place;
};

using Waiters = std::vector<std::unique_ptr<Waiter>>;

inline Waiters wait_at_many_keys(Engine& engine, int count, std::chrono::milliseconds delay) {
  Waiters waiters;
  for (int i = 0; i < count; ++i) {
    const std::string key = "job " + std::to_string(i);
    engine.world.server.store(key, "somebody", 1h);
    waiters.push_back(std::make_unique<Waiter>(engine, key, delay));
    if (i % 10 == 0) engine.world.run_for(1ms);
  }
  return waiters;
}

inline bool all_are_in_line(Engine& engine, const Waiters& waiters, Instant::duration for_at_least = 1s) {
  return std::all_of(waiters.begin(), waiters.end(), [&](const auto& waiter) {
    const auto line = engine.world.server.lines.find(waiter->key.line());
    return line != engine.world.server.lines.end() && line->second.size() == 1 &&
           line->second.front().alive_until > engine.world.now() + for_at_least;
  });
}

}  // namespace redismutex::engine::testing
