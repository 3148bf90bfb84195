// Places are renewed in batches that stay together from round to round. Waiters join and leave them at any time.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/places_batch.hpp"
#include "protocol/script.hpp"
#include "protocol/slot.hpp"
#include "support/allocations.hpp"
#include "unit/engine/place_waiters.hpp"

namespace redismutex::engine {
namespace {

using namespace testing;

std::unique_ptr<Waiter> wait_at(Engine& engine, const std::string& key, std::chrono::milliseconds delay) {
  engine.world.server.store(key, "somebody", 1h);
  return std::make_unique<Waiter>(engine, key, delay);
}

/// Commands a round, in ten of them.
int refreshes_a_round(Engine& engine, std::chrono::milliseconds delay) {
  engine.world.server.counts.clear();
  engine.world.run_for(10 * delay);
  return engine.world.server.count("refresh") / 10;
}

// Most leave, of each batch some: those that are left soon share batches.
TEST(PlacesBatches, ThoseThatAreLeftArePutTogether) {
  Engine engine;
  Waiters waiters = wait_at_many_keys(engine, 4'000, 500ms);
  engine.world.run_for(2s);
  const int before = refreshes_a_round(engine, 500ms);
  EXPECT_GE(before, 31);
  for (std::size_t i = 0; i < waiters.size(); ++i) {
    if (i % 10 != 0) waiters[i].reset();
  }
  std::erase(waiters, nullptr);
  engine.world.run_for(2s);
  EXPECT_LE(refreshes_a_round(engine, 500ms), 400 / 64 + 6) << "there were " << before;
  EXPECT_TRUE(all_are_in_line(engine, waiters));
}

// Two small ones that together fill less than one become one, whichever is the smaller.
TEST(PlacesBatches, ASmallOneGoesWithALargerOne) {
  for (const int first : {30, 60, 90}) {
    SCOPED_TRACE(first);
    Engine engine;
    Waiters waiters;
    for (int i = 0; i < 256; ++i) waiters.push_back(wait_at(engine, "job " + std::to_string(i), 500ms));
    engine.world.run_for(3s);
    ASSERT_EQ(refreshes_a_round(engine, 500ms), 2);
    // Each batch has 128 of those that began to wait one after the other.
    for (int i = 0; i < 256; ++i) {
      const bool stays = i < 128 ? i < first : i - 128 < 120 - first;
      if (!stays) waiters[static_cast<std::size_t>(i)].reset();
    }
    std::erase(waiters, nullptr);
    engine.world.run_for(2s);
    EXPECT_EQ(refreshes_a_round(engine, 500ms), 1);
    EXPECT_TRUE(all_are_in_line(engine, waiters));
  }
}

// Each that comes would have a batch of its own.
TEST(PlacesBatches, ThoseThatComeOneByOneShareBatches) {
  Engine engine;
  Waiters waiters;
  for (int i = 0; i < 1'000; ++i) {
    waiters.push_back(wait_at(engine, "job " + std::to_string(i), 500ms));
    engine.world.run_for(7ms);
  }
  engine.world.run_for(2s);
  EXPECT_LE(refreshes_a_round(engine, 500ms), 1'000 / 64 + 6);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
}

// At any time, also while batches are under way, waiters come and go: each that stays keeps its place, and is not woken.
TEST(PlacesBatches, WaitersComeAndGoAtAnyTime) {
  Engine engine;
  engine.world.server.round_trip = 80ms;
  Waiters waiters = wait_at_many_keys(engine, 300, 500ms);
  Waiters often = wait_at_many_keys(engine, 50, 100ms);
  const auto chance = [&engine](std::size_t below) { return engine.world.environment.random_bits() % below; };
  for (int i = 0; i < 1'000; ++i) {
    engine.world.run_for(std::chrono::milliseconds{chance(20)});
    for (std::size_t leave = chance(5); leave > 0 && waiters.size() > 50; --leave) {
      std::swap(waiters[chance(waiters.size())], waiters.back());
      waiters.pop_back();
    }
    for (std::size_t come = chance(5); come > 0; --come) {
      const std::string key = "late " + std::to_string(i) + " " + std::to_string(come);
      waiters.push_back(wait_at(engine, key, 500ms));
    }
    ASSERT_TRUE(std::all_of(waiters.begin(), waiters.end(),
                            [&](const auto& waiter) {
                              const auto line = engine.world.server.lines.find(waiter->key.line());
                              return line == engine.world.server.lines.end() ||  // it has not come so far
                                     line->second.back().alive_until > engine.world.now() + 1s;
                            }))
        << "in step " << i;
  }
  engine.world.run_for(2s);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
  engine.world.server.counts.clear();
  engine.world.run_for(5s);
  EXPECT_EQ(engine.world.server.count("acquire"), 0);
  EXPECT_LE(engine.world.server.count("refresh"), 10 * (static_cast<int>(waiters.size()) / 64 + 8) + 50 * 6);
}

// A waiter that wakes knows when its place was renewed last: from then on it counts the time until it looks by itself.
TEST(PlacesBatches, AWaiterThatLeavesIsToldOfTheLastRenewal) {
  Engine engine;
  engine.world.server.round_trip = 40ms;
  const auto waiter = wait_at(engine, "job", 500ms);
  const auto other = wait_at(engine, "job 2", 500ms);
  engine.world.run_for(300ms);
  const auto rest = [&] { waiter->place.rest(engine.world.now(), engine.world.now() + 500ms); };
  EXPECT_FALSE(waiter->place.wake(engine.world.now())) << "it was its own request so far";
  rest();
  Instant begun = engine.world.now();
  ASSERT_TRUE(engine.world.run_until_is([&] { return engine.world.background.under_way() > 0; }));
  EXPECT_FALSE(waiter->place.wake(engine.world.now())) << "there is no answer so far";
  rest();
  engine.world.run_for(2s);
  for (int round = 0; round < 3; ++round) {
    begun = engine.world.now();
    ASSERT_TRUE(engine.world.run_until_is([&] { return engine.world.background.under_way() > 0; }));
    const auto between = waiter->place.wake(engine.world.now());
    ASSERT_TRUE(between) << "it was renewed the time before";
    EXPECT_LT(*between, begun);
    EXPECT_GT(*between, begun - 600ms);
    rest();
    engine.world.run_for(1s);
    ASSERT_TRUE(engine.world.run_until_is([&] { return engine.world.background.under_way() == 0; }));
    const auto later = waiter->place.wake(engine.world.now());
    ASSERT_TRUE(later);
    EXPECT_GT(*later, begun);
    rest();
    engine.world.run_for(1s);
  }
  EXPECT_TRUE(engine.world.run_until_is([&] { return engine.world.server.lines.size() == 2; }, 1s));
}

// A Background that stands still before there was a first round is noticed, too.
TEST(PlacesBatches, ThoseThatWaitForTheirFirstRoundAreNotForgotten) {
  Engine engine;
  const auto waiter = wait_at(engine, "job", 500ms);
  engine.world.run_for(100ms);
  engine.world.background.stuck = true;
  engine.world.server.counts.clear();
  engine.world.run_for(7s);
  EXPECT_GE(engine.world.server.count("acquire"), 1);
}

// In a cluster a command is about keys of one slot only. Those of one slot share their commands nevertheless, also when they come in any
// order and some have left.
TEST(PlacesBatches, InAClusterABatchIsOfOneSlot) {
  Engine engine{Engine::InCluster{}};
  engine.world.server.answers_instead = [](const FakeServer::Words& words) -> std::optional<Reply> {
    if (words.front() != "EVALSHA" || words.at(1) != protocol::scripts::refresh.sha1) return std::nullopt;
    const auto keys_end = words.begin() + 3 + std::stol(words.at(2));
    const std::uint16_t slot = protocol::slot_of(words.at(3));
    const bool is_one =
        std::all_of(words.begin() + 3, keys_end, [&](const auto& key) { return protocol::slot_of(key) == slot; });
    EXPECT_TRUE(is_one);
    return std::nullopt;
  };
  const std::vector<std::string> tags{"{a}", "{b}", "{b}", "{c}"};
  Waiters waiters;
  for (std::size_t i = 0; i < 1'600; ++i) {
    const std::size_t tag = engine.world.environment.random_bits() % tags.size();
    waiters.push_back(wait_at(engine, tags[tag] + std::to_string(i), 500ms));
    if (i % 10 == 0) engine.world.run_for(1ms);
  }
  engine.world.run_for(5s);
  EXPECT_LE(refreshes_a_round(engine, 500ms), 2 * 1'600 / 128 + 3);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
  for (std::size_t i = 0; i < waiters.size(); ++i) {
    if (i % 8 != 0) waiters[i].reset();
  }
  std::erase(waiters, nullptr);
  engine.world.run_for(5s);
  EXPECT_LE(refreshes_a_round(engine, 500ms), 6) << "200 of three slots, in batches of 128";
  EXPECT_TRUE(all_are_in_line(engine, waiters));
}

// Where each key has a slot of its own nobody waits for the others, and nobody is woken.
TEST(PlacesBatches, InAClusterEachSlotIsRenewed) {
  Engine engine{Engine::InCluster{}};
  const Waiters waiters = wait_at_many_keys(engine, 1'000, 500ms);
  engine.world.run_for(3s);
  engine.world.server.counts.clear();
  for (int i = 0; i < 10; ++i) {
    engine.world.run_for(500ms);
    EXPECT_TRUE(all_are_in_line(engine, waiters));
  }
  EXPECT_EQ(engine.world.server.count("acquire"), 0);
  EXPECT_LE(engine.world.server.count("refresh"), 10 * 1'000 + 100);
}

// ---- one batch ------------------------------------------------------------------------------------------------------

class ABatch : public ::testing::Test {
 protected:
  PlacesBatch::Part part(int number) {
    const auto& waiter = waiters_.emplace_back(wait_at(engine_, "job " + std::to_string(number), 1h));
    return {.place = &waiter->place,
            .renewed_at = std::nullopt,
            .is_first = false,
            .key = waiter->key,
            .id = waiter->id,
            .details = {'0', '-'},
            .details_size = 2};
  }

  /// What it sends, but for the number of keys.
  static std::vector<std::string_view> sent(PlacesBatch& batch) {
    const auto step = batch.machine().start(Instant{});
    const auto arguments = std::get<protocol::Request>(step).arguments;
    return {arguments.begin() + 3, arguments.end()};
  }

  static std::vector<std::string> keys(PlacesBatch& batch) {
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < batch.parts().size(); ++i) keys.emplace_back(sent(batch).at(2 * i));
    return keys;
  }

  /// A round in which each place is renewed, but for these.
  static std::vector<std::string> go_round(PlacesBatch& batch, std::vector<std::int64_t> answers) {
    batch.begin(Instant{1s});
    batch.machine().start(Instant{1s});
    batch.machine().answered({.type = protocol::Answer::Type::integers, .integers = answers});
    batch.has_answer = true;
    return end(batch);
  }
  static std::vector<std::string> end(PlacesBatch& batch) {
    std::vector<std::string> news;
    batch.end([&](const protocol::OwnerId& id, protocol::Refreshed) { news.emplace_back(id.text()); });
    return news;
  }

  std::string id(std::size_t number) const { return std::string{waiters_.at(number)->id.text()}; }

 private:
  Engine engine_;  // nothing moves in it
  Waiters waiters_;
};

// What did not change is sent again, and not described again.
TEST_F(ABatch, SendsTheSameMemoryAgain) {
  PlacesBatch batch{500ms, protocol::no_slot, Instant{}};
  batch.add(part(0));
  batch.add(part(1));
  EXPECT_TRUE(go_round(batch, {1, 1}).empty());
  const auto before = sent(batch);
  EXPECT_TRUE(go_round(batch, {1, 1}).empty());
  const auto after = sent(batch);
  EXPECT_EQ(before, after);
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i].data(), after[i].data());
  EXPECT_EQ(batch.due, Instant{1s} + 500ms);
}

// Each is told what came of its own place, whoever left before it or after it.
TEST_F(ABatch, TellsOfEachByItself) {
  PlacesBatch batch{500ms, protocol::no_slot, Instant{}};
  for (int i = 0; i < 6; ++i) batch.add(part(i));
  batch.begin(Instant{});
  batch.remove(1);
  batch.remove(5);
  ASSERT_EQ(batch.parts().size(), 6U) << "it is under way with them";
  batch.machine().answered(
      {.type = protocol::Answer::Type::integers, .integers = std::vector<std::int64_t>{0, 0, 1, 2, 1, 1}});
  batch.has_answer = true;
  EXPECT_EQ(end(batch), (std::vector{id(3), id(0)})) << "one is the first now, one has no place";
  batch.begin(Instant{});
  auto left = keys(batch);
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, (std::vector<std::string>{"job 2", "job 4"}));
}

// An answer of an earlier round says nothing.
TEST_F(ABatch, WithoutAnAnswerEachIsToldToAsk) {
  PlacesBatch batch{500ms, protocol::no_slot, Instant{}};
  batch.add(part(0));
  EXPECT_TRUE(go_round(batch, {1}).empty());
  batch.begin(Instant{2s});
  EXPECT_EQ(end(batch), std::vector{id(0)});
  EXPECT_TRUE(batch.parts().empty());
}

// Each allocation fails once: what was in a batch stays in it, and is sent the next time.
TEST_F(ABatch, LosesNobodyWhereMemoryIsScarce) {
  int number = 0;
  for (int nth = 0;; ++nth) {
    PlacesBatch batch{500ms, protocol::no_slot, Instant{}};
    PlacesBatch other{500ms, protocol::no_slot, Instant{}};
    std::vector<PlacesBatch::Part> parts;
    for (int i = 0; i < 6; ++i) parts.push_back(part(number++));
    std::size_t added = 0;
    bool failed = false;
    redismutex::testing::allocations_left = nth;
    try {
      for (; added < parts.size(); ++added) (added < 3 ? batch : other).add(parts[added]);
      batch.take_from(other);
      batch.begin(Instant{});
    } catch (const std::bad_alloc&) {  // as was provoked
      failed = true;
    }
    redismutex::testing::allocations_left = -1;
    EXPECT_EQ(batch.parts().size() + other.parts().size(), added);
    EXPECT_EQ(batch.is_under_way, !failed);
    if (!failed) {
      EXPECT_GE(nth, 4);
      return;
    }
    batch.take_from(other);
    ASSERT_GE(batch.parts().size(), 1U) << "the first needs no memory";
    batch.begin(Instant{});
    EXPECT_EQ(keys(batch).size(), added);
    EXPECT_EQ(end(batch).size(), added);
  }
}

}  // namespace
}  // namespace redismutex::engine
