#include "grants.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "waiters.hpp"

namespace redismutex::bench {

using namespace std::chrono_literals;

Grants measure_grants(const std::string& url, int threads, int grants) {
  // So long that nobody in line looks after its place while this goes on.
  Waiters waiters{url, threads, 100s};
  waiters.wait_until_quiet();

  // Evenly from first to last, should the order matter.
  const int waiting = waiters.count();
  const int wanted = std::min(grants, waiting);
  const auto before = cpu_time_of(waiters.process());
  for (int done = 0; done < wanted; ++done) {
    waiters.grant(static_cast<int>(static_cast<long>(done) * waiting / wanted));
  }
  std::this_thread::sleep_for(300ms);  // what a grant asks for later, such as its full lease, counts as well
  const std::chrono::duration<double, std::micro> spent = cpu_time_of(waiters.process()) - before;
  return {.waiting = static_cast<double>(waiting), .cpu_us = spent.count() / wanted};
}

}  // namespace redismutex::bench
