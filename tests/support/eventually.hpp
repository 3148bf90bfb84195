#pragma once

#include <chrono>
#include <thread>

namespace redismutex::testing {

/// Whether `condition()` becomes true within `limit`; looks every millisecond, at least once, and returns at the first
/// success: `EXPECT_TRUE(eventually(2s, [&] { return server.connected_clients() == 3; }))`.
template <class Condition>
bool eventually(std::chrono::milliseconds limit, Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace redismutex::testing
