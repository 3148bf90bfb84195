#include "faults/balance.hpp"

#include <unistd.h>

#include <cstdlib>
#include <iostream>

namespace redismutex::faults {
namespace {

struct Told {
  long attempts = 0;
  long acquired = 0;
  long ended = 0;
};

// Both events are told in the thread that they are about.
thread_local Told told;

}  // namespace

void Balance::check(long attempts, long held) {
  if (told.attempts == attempts && told.acquired - told.ended == held) return;
  std::cerr << "no balance of events: told of " << told.attempts << " attempts, " << told.acquired << " acquired and "
            << told.ended << " ended; there were " << attempts << " attempts, and " << held << " is held" << std::endl;
  ::_exit(EXIT_FAILURE);
}

void Balance::attempt_ended(const AttemptEnded& event) noexcept {
  ++told.attempts;
  if (event.acquired()) ++told.acquired;
}

void Balance::hold_ended(const HoldEnded& /*event*/) noexcept { ++told.ended; }

}  // namespace redismutex::faults
