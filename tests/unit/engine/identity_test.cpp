// The tag is settled once: with the number of the first connection if there was one in time, and anew in a child.

#include "engine/identity.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using protocol::Tag;

std::uint64_t client_id_in(Tag tag) { return tag.bits >> 16; }

TEST(Identity, HasTheNumberOfTheFirstConnection) {
  Identity identity;
  EXPECT_FALSE(identity.known());
  identity.note_client_id(7);
  ASSERT_TRUE(identity.known());
  const Tag tag = *identity.known();
  EXPECT_EQ(client_id_in(tag), 7);
  EXPECT_EQ(identity.tag(), tag);
  identity.note_client_id(8);
  EXPECT_EQ(identity.tag(), tag) << "it stays through a reconnection";
}

TEST(Identity, IsRandomIfThereWasNoConnectionInTime) {
  Identity identity, other;
  const Tag tag = identity.tag();
  EXPECT_NE(tag, other.tag());
  identity.note_client_id(7);
  EXPECT_EQ(identity.tag(), tag);
}

TEST(Identity, OfConnectionsWithTheSameNumberDiffers) {
  std::array<Identity, 4> identities;
  for (Identity& identity : identities) identity.note_client_id(7);
  int same = 0;
  for (const Identity& identity : identities) same += identity.known() == identities[0].known() ? 1 : 0;
  EXPECT_LT(same, 4) << "16 bits of it are random";
}

TEST(Identity, IsOneForAllThreads) {
  for (int round = 0; round < 100; ++round) {
    Identity identity;
    std::array<Tag, 4> tags;
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < tags.size(); ++i) {
        threads.emplace_back([&, i] {
          if (i % 2 == 0) identity.note_client_id(static_cast<std::int64_t>(i) + 1);
          tags[i] = identity.tag();
        });
      }
    }
    for (const Tag& tag : tags) EXPECT_EQ(tag, tags[0]);
  }
}

}  // namespace
}  // namespace redismutex::engine
