#include <gtest/gtest.h>

#include <optional>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <thread>

#include "support/process.hpp"
#include "with_memory_server.hpp"

// fork(): the servers belong to the process.
namespace redismutex::testing {
namespace {

using AForkedProcess = WithMemoryServer;

TEST_F(AForkedProcess, HasServersOfItsOwn) {
  auto lock = mutex.acquire_lock("key");
  const ChildProcess child{[this] {
    connection.ping();
    const auto taken = mutex.try_acquire_lock("key");
    return taken ? 7 : 1;
  }};
  EXPECT_EQ(child.wait(limit), exited(7));
  EXPECT_NO_THROW(connection.ping());
  EXPECT_NO_THROW(lock.release());
}

// Whatever its parent's threads are at.
TEST_F(AForkedProcess, MayBeMadeAtAnyTime) {
  const std::jthread busy{[this](const std::stop_token& stop) {
    while (!stop.stop_requested()) mutex.acquire_lock("busy").release();
  }};
  for (int i = 0; i < 20; ++i) {
    const ChildProcess child{[this] {
      mutex.acquire_lock("busy").release();
      return 7;
    }};
    EXPECT_EQ(child.wait(limit), exited(7));
  }
}

// Its copy of the parent's MemoryServer is about the parent's, and of no use.
TEST_F(AForkedProcess, DoesNoHarmWithItsParentsServers) {
  connection.ping();
  const ChildProcess child{[this] {
    server.end_lease("key");
    server.go_away();
    connection.ping();
    return 7;
  }};
  EXPECT_EQ(child.wait(limit), exited(7));
  EXPECT_NO_THROW(connection.ping());
}

}  // namespace
}  // namespace redismutex::testing
