// A long job that stops as soon as it has lost its lock. Here an operator breaks it in the middle.

#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <redismutex/operate.hpp>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <thread>

using namespace std::chrono_literals;

namespace {

/// One step of the job takes long, too. Returns whether it was finished.
bool run_step(const std::stop_token& lost) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock{mutex};
  // What really takes long is ended from a std::stop_callback: a query is cancelled, a socket is closed. This one only waits.
  return !changed.wait_for(lock, lost, 200ms, [&] { return lost.stop_requested(); });
}

/// Returns how many steps it has finished.
int run_job(const redismutex::Lock& lock) {
  const std::stop_token lost = lock.lost_token();
  int steps = 0;
  while (steps < 100 && run_step(lost)) std::cout << "step " << ++steps << " of 100\n";
  return steps;
}

void break_lock_after(std::chrono::milliseconds time, const std::string& key, const std::string& owner) {
  std::this_thread::sleep_for(time);
  redismutex::break_lock(redismutex::Connection{}, key, owner);
}

}  // namespace

int main() try {
  // As long as it lives the lease is renewed; if it dies, the next one is inside after 3 s.
  const redismutex::RedisMutex mutex{redismutex::Connection{}, {.expiry = 3s, .auto_renew = true, .max_hold = 1h}};
  auto lock = mutex.acquire_lock("long-job");
  const std::jthread operators{break_lock_after, 500ms, lock.key(), lock.value()};

  const int steps = run_job(lock);
  if (steps < 100) std::cout << "lost the lock after step " << steps << ", and has stopped\n";
  try {
    lock.release();
  } catch (const redismutex::MutexUnlockError& error) {
    std::cout << error.what() << '\n';
  }
  return steps < 100 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
