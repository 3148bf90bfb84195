#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <redismutex/redismutex.hpp>

#include "support/eventually.hpp"
#include "support/limits.hpp"
#include "support/server.hpp"

namespace redismutex::testing {

/// For who is to get in, however long others or a busy machine take.
constexpr Options patient{.block_time = limit, .delay = std::chrono::milliseconds{5}, .expiry = 2 * limit};

constexpr Options non_blocking{.blocking = false, .expiry = 2 * limit};

/// A server and a connection to it. All tests on it end with an empty server.
struct WithServer : ::testing::Test {
  Server server;
  Connection connection{server.url()};

  void TearDown() override {
    EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); })) << ::testing::PrintToString(server.keys());
  }
};

}  // namespace redismutex::testing
