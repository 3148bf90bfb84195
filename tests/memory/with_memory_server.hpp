#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <redismutex/redismutex.hpp>
#include <redismutex/testing.hpp>

#include "support/limits.hpp"

namespace redismutex::testing {

/// For who is to get in, however long others or a busy machine take.
inline const Options patient{.block_time = limit, .delay = std::chrono::milliseconds{5}, .expiry = 2 * limit};

struct WithMemoryServer : ::testing::Test {
  MemoryServer server;
  const Connection connection{server.url()};
  const Connection another{server.url()};  // as of another process
  const RedisMutex mutex{connection, patient};
};

}  // namespace redismutex::testing
