#include "turns.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <optional>
#include <sstream>
#include <thread>

#include "rota.hpp"
#include "support/posix.hpp"

namespace redismutex::bench {

Nanoseconds monotonic_now() {
  return std::chrono::nanoseconds{std::chrono::steady_clock::now().time_since_epoch()}.count();
}

namespace {

std::vector<Turn> take_turns_until(Nanoseconds end, Locker& locker, const TurnTaking& how,
                                   const std::function<void()>& before_each, const std::function<void()>& after_each) {
  ::prctl(PR_SET_TIMERSLACK, 1);  // or each sleep would be 0.05 ms longer
  std::vector<Turn> turns;
  for (;;) {
    before_each();
    const Nanoseconds asked = monotonic_now();
    if (asked >= end) return turns;
    locker.lock(how.key);
    const Nanoseconds entered = monotonic_now();
    if (how.hold.count() > 0) std::this_thread::sleep_for(how.hold);
    const Nanoseconds leaving = monotonic_now();
    locker.unlock();
    turns.push_back({asked, entered, leaving, turns.empty()});
    if (how.pause.count() > 0) std::this_thread::sleep_for(how.pause);
    after_each();
  }
}

void wait_for_lock(const std::string& path) {
  const testing::Descriptor file{testing::checked(::open(path.c_str(), O_RDONLY | O_CLOEXEC), path.c_str())};
  testing::checked(::flock(file.get(), LOCK_SH), path.c_str());
}

}  // namespace

void take_turns(const Lockers& lockers, const TurnTaking& how) {
  lockers.front()->lock_and_unlock(how.key + ":warm-up:" + std::to_string(::getpid()));
  std::cout << "ready" << std::endl;

  wait_for_lock(how.go);
  Nanoseconds start = 0;
  Nanoseconds end = 0;
  std::ifstream{how.go} >> start >> end;
  std::this_thread::sleep_for(std::chrono::nanoseconds{start - monotonic_now()});

  std::optional<Rota> rota;
  if (!how.taking_part.empty()) rota.emplace(lockers.size(), how.taking_part, start);
  const auto play = [&](std::size_t i) {
    auto turns = take_turns_until(
        end, *lockers[i], how,
        [&] {
          if (rota) rota->wait_for_place(i);
        },
        [&] {
          if (rota) rota->give_place_up();
        });
    if (rota) rota->dismiss();
    return turns;
  };
  std::vector<std::future<std::vector<Turn>>> others;
  for (std::size_t i = 1; i < lockers.size(); ++i) others.push_back(std::async(std::launch::async, play, i));
  std::vector<std::vector<Turn>> all{play(0)};
  for (auto& other : others) all.push_back(other.get());
  for (const auto& turns : all) {
    for (const Turn& turn : turns) {
      std::cout << turn.asked << ' ' << turn.entered << ' ' << turn.leaving << ' ' << turn.first << '\n';
    }
  }
  std::cout.flush();
}

std::vector<Turn> parse_turns(const std::string& printed) {
  std::istringstream text{printed};
  std::string ready;
  text >> ready;
  std::vector<Turn> turns;
  for (Turn turn{}; text >> turn.asked >> turn.entered >> turn.leaving >> turn.first;) turns.push_back(turn);
  return turns;
}

}  // namespace redismutex::bench
