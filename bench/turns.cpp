#include "turns.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "lockers.hpp"

namespace redismutex::bench {

using namespace std::chrono_literals;

Nanoseconds monotonic_now() {
  return std::chrono::nanoseconds{std::chrono::steady_clock::now().time_since_epoch()}.count();
}

void take_turns(const TurnTaking& how) {
  ::prctl(PR_SET_TIMERSLACK, 1);  // or each sleep would be 0.05 ms longer
  const auto locker = make_locker(how.client, how.url);
  locker->lock_and_unlock(how.key + ":warm-up:" + std::to_string(::getpid()));
  std::cout << "ready" << std::endl;

  while (!std::filesystem::exists(how.go)) std::this_thread::sleep_for(1ms);
  Nanoseconds start = 0;
  Nanoseconds end = 0;
  std::ifstream{how.go} >> start >> end;
  std::this_thread::sleep_for(std::chrono::nanoseconds{start - monotonic_now()});

  std::vector<Turn> turns;
  for (Nanoseconds asked = monotonic_now(); asked < end; asked = monotonic_now()) {
    locker->lock(how.key);
    const Nanoseconds entered = monotonic_now();
    std::this_thread::sleep_for(how.hold);
    const Nanoseconds leaving = monotonic_now();
    locker->unlock();
    turns.push_back({asked, entered, leaving});
    std::this_thread::sleep_for(how.pause);
  }
  for (const Turn& turn : turns) std::cout << turn.asked << ' ' << turn.entered << ' ' << turn.leaving << '\n';
  std::cout.flush();
}

std::vector<Turn> parse_turns(const std::string& printed) {
  std::istringstream text{printed};
  std::string ready;
  text >> ready;
  std::vector<Turn> turns;
  for (Turn turn{}; text >> turn.asked >> turn.entered >> turn.leaving;) turns.push_back(turn);
  return turns;
}

}  // namespace redismutex::bench
