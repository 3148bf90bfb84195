// Once in a fleet: the same timer fires on every host, one of them does the job, and the others find that it is done or being done.
// Here eight processes stand for eight hosts.

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <random>
#include <redismutex/redismutex.hpp>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

enum Status { did_it = 0, failed = 1, not_mine = 75 };

/// What a host does when its timer fires. `run`: which of the runs; a day, for a nightly job.
Status run_once(const std::string& run) {
  // The lease is how long the others are kept away: longer than their timers differ and than the job takes.
  const redismutex::RedisMutex mutex{redismutex::Connection{}, {.blocking = false, .expiry = 10min}};
  auto lock = mutex.try_acquire_lock("report:" + run);
  if (!lock) return not_mine;
  std::this_thread::sleep_for(50ms);  // the job. If it throws, the lock is released, and the next host tries
  lock->leave();                      // done: not released, so that who comes late finds it taken
  return did_it;
}

/// A host whose clock is a little off.
[[noreturn]] void be_host(const std::string& run) {
  Status status = failed;
  try {
    std::this_thread::sleep_for(std::chrono::milliseconds{std::random_device{}() % 300});
    status = run_once(run);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
  }
  std::_Exit(status);
}

}  // namespace

int main() {
  constexpr int hosts = 8;
  const std::string run = std::to_string(::getpid());
  for (int host = 0; host < hosts; ++host) {
    if (::fork() == 0) be_host(run);
  }
  int done = 0, left = 0;
  for (int status = 0; ::wait(&status) > 0;) {
    if (!WIFEXITED(status)) continue;
    if (WEXITSTATUS(status) == did_it) ++done;
    if (WEXITSTATUS(status) == not_mine) ++left;
  }
  std::cout << done << " did the job, " << left << " left it to another\n";
  return done == 1 && left == hosts - 1 ? 0 : 1;
}
