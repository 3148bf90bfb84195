#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "quorum/quorum_servers.hpp"
#include "support/eventually.hpp"
#include "support/limits.hpp"

namespace redismutex::testing {

inline const Options patient{.block_time = limit, .expiry = 2 * limit};

/// The same for all tests of the program. A test leaves nothing behind on those that it has not ended.
struct WithQuorum : ::testing::Test {
  static QuorumServers& servers() {
    static QuorumServers servers;
    return servers;
  }

  void SetUp() override { servers().mend(); }
  void TearDown() override {
    EXPECT_TRUE(eventually(limit, [] { return servers().keys().empty(); }))
        << ::testing::PrintToString(servers().keys());
  }
};

}  // namespace redismutex::testing
