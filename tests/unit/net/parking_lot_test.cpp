#include "net/parking_lot.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// A thread that sleeps at a spot until it is told.
class Sleeper {
 public:
  Sleeper(ParkingLot& lot, ParkingLot::Spot spot)
      : spot_{spot}, thread_{[this, &lot] {
          for (;;) {
            const auto generation = lot.generation(spot_);
            if (told_) return;
            lot.park(spot_, generation, Deadline::max());
          }
        }} {}

  void tell() { told_ = true; }
  ParkingLot::Spot spot() const { return spot_; }

 private:
  const ParkingLot::Spot spot_;
  std::atomic<bool> told_{false};
  std::jthread thread_;
};

// One waking reaches all whom it is for, also those who share a spot and those who were about to sleep.
TEST(ParkingLot, WakesManyTogether) {
  for (int round = 0; round < 50; ++round) {
    ParkingLot lot;
    std::vector<std::unique_ptr<Sleeper>> sleepers;
    for (int i = 0; i < 40; ++i) sleepers.push_back(std::make_unique<Sleeper>(lot, lot.assign()));
    sleepers.push_back(std::make_unique<Sleeper>(lot, sleepers.front()->spot()));
    ParkingLot::Wakeups wakeups{lot};
    for (const auto& sleeper : sleepers) {
      sleeper->tell();
      wakeups.add({sleeper->spot()});
    }
  }
}

TEST(ParkingLot, WakesOne) {
  ParkingLot lot;
  Sleeper sleeper{lot, lot.assign()};
  sleeper.tell();
  lot.unpark({sleeper.spot()});
}

TEST(ParkingLot, SleepsUntilTheDeadline) {
  ParkingLot lot;
  const auto spot = lot.assign();
  const auto start = steady_clock::now();
  while (lot.park(spot, lot.generation(spot), start + 5ms)) continue;
  EXPECT_GE(steady_clock::now() - start, 5ms);
}

// Who was told after having asked for the generation does not fall asleep.
TEST(ParkingLot, DoesNotSleepThroughAWaking) {
  ParkingLot lot;
  const auto spot = lot.assign();
  const auto generation = lot.generation(spot);
  lot.unpark({spot});
  EXPECT_TRUE(lot.park(spot, generation, Deadline::max()));
}

TEST(ParkingLot, HasASpotForEverybody) {
  ParkingLot lot;
  for (ParkingLot::Spot i = 0; i < 3 * ParkingLot::spots; ++i) EXPECT_LT(lot.assign(), ParkingLot::spots);
}

}  // namespace
}  // namespace redismutex::net
