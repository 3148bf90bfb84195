#include "engine/clean_ups.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "unit/engine/engine.hpp"

namespace redismutex::engine {
namespace {

using namespace testing;

/// A lock that its owner has no time for any more.
void abandon(Engine& engine, const std::string& key, Instant::duration lease = 10s) {
  const protocol::OwnerId id = engine.new_id();
  engine.world.server.store(key, id.text(), lease);
  engine.session->clean_ups().add(
      {.key = protocol::Key{key}, .id = id, .until = engine.world.now() + lease, .token = 0});
}

// However many there are, and however slow the way is, none is left behind for long.
TEST(CleanUps, ManyGoOnAtTheSameTime) {
  Engine engine;
  engine.world.server.round_trip = 50ms;
  std::size_t most_under_way = 0;
  for (int i = 0; i < 2500; ++i) {  // 500 a second
    abandon(engine, "job " + std::to_string(i));
    engine.world.run_for(2ms);
    most_under_way = std::max(most_under_way, engine.world.background.under_way());
  }
  EXPECT_LE(engine.world.server.keys.size(), 100U);
  EXPECT_LE(most_under_way, CleanUps::most_under_way);
  engine.world.run_for(200ms);
  EXPECT_TRUE(engine.world.server.keys.empty());
}

// A server that is away, or refuses for now, is asked again, for as long as the lock would last.
TEST(CleanUps, WhatFailsIsTriedAgain) {
  Engine engine;
  engine.world.server.away = true;
  abandon(engine, "job");
  abandon(engine, "short", 1s);
  engine.world.run_for(5s);
  engine.world.server.away = false;
  EXPECT_TRUE(engine.world.server.keys.contains("job"));
  engine.world.run_for(300ms);
  EXPECT_FALSE(engine.world.server.keys.contains("job"));
  EXPECT_EQ(engine.world.server.count("release"), 1);
}

// What a right is missing for is told to the log at once, and once; it is tried again all the same, because rights can be given.
TEST(CleanUps, WhatIsForbiddenIsToldAtOnce) {
  Engine engine;
  engine.world.server.answers_instead = [](const FakeServer::Words& words) -> std::optional<Reply> {
    if (words.front() == "EVALSHA")
      return Reply::error("NOPERM this user has no permissions to run the 'evalsha' command");
    return std::nullopt;
  };
  for (int i = 0; i < 10; ++i) abandon(engine, "job " + std::to_string(i));
  engine.world.run_for(1s);
  EXPECT_GT(engine.world.server.count("release"), 10);
  EXPECT_EQ(engine.world.log.size(), 1U);
  EXPECT_TRUE(engine.world.is_logged("NOPERM"));
}

// At the end what is left is tried once more, all of it together.
TEST(CleanUps, TheEndTriesWhatIsLeftOnceMore) {
  Engine engine;
  engine.world.server.round_trip = 100ms;
  engine.world.server.away = true;
  for (int i = 0; i < 500; ++i) abandon(engine, "job " + std::to_string(i));
  engine.world.run_for(2s);
  engine.world.server.away = false;
  engine.session.reset();
  engine.world.run_for(1s);
  EXPECT_TRUE(engine.world.server.keys.empty());
  EXPECT_EQ(engine.world.background.under_way(), 0U);
}

TEST(CleanUps, WithoutThreadsItExpires) {
  Engine engine;
  engine.world.background.no_threads = true;
  abandon(engine, "job");
  engine.world.background.no_threads = false;
  abandon(engine, "other");
  engine.world.run_for(1s);
  EXPECT_TRUE(engine.world.server.keys.contains("job"));
  EXPECT_FALSE(engine.world.server.keys.contains("other"));
}

}  // namespace
}  // namespace redismutex::engine
