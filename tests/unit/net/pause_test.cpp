#include "net/pause.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <stop_token>
#include <thread>

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// Each pause may be up to twice as long as the one before, until the longest; and none is less than a quarter of that.
TEST(Pause, DoublesUpToTheLongest) {
  for (const auto& [failures, most] : {std::pair{0U, 50ms},
                                       {1U, 100ms},
                                       {2U, 200ms},
                                       {3U, 250ms},
                                       {40U, 250ms},
                                       {std::numeric_limits<unsigned>::max(), 250ms}}) {
    std::chrono::microseconds shortest = 1h;
    std::chrono::microseconds longest = 0us;
    for (int i = 0; i < 1000; ++i) {
      const auto pause = jittered_pause(failures, 50ms, 250ms);
      shortest = std::min(shortest, pause);
      longest = std::max(longest, pause);
    }
    EXPECT_GE(shortest, most / 4) << failures;
    EXPECT_LE(longest, most) << failures;
    EXPECT_GT(longest, 2 * shortest) << "those who failed together come back one by one";
  }
}

TEST(Pause, IsNeverLongerThanTheLongest) { EXPECT_LE(jittered_pause(0, 50ms, 1ms), 1ms); }

TEST(Pause, LastsUntilItsEnd) {
  const Deadline until = steady_clock::now() + 20ms;
  EXPECT_TRUE(pause_until(until, {}));
  EXPECT_GE(steady_clock::now(), until);
}

TEST(Pause, EndsWithTheStopToken) {
  std::stop_source stop;
  std::jthread stopping{[&] {
    std::this_thread::sleep_for(20ms);
    stop.request_stop();
  }};
  EXPECT_FALSE(pause_until(steady_clock::now() + 1h, stop.get_token()));
  EXPECT_FALSE(pause_until(steady_clock::now() + 1h, stop.get_token())) << "also if it fired before";
}

}  // namespace
}  // namespace redismutex::net
