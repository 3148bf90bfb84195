// A wait that can be called off: here by Ctrl-C, or by SIGTERM. Start it twice, and interrupt the one that waits.

#include <chrono>
#include <csignal>
#include <functional>
#include <iostream>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <thread>

using namespace std::chrono_literals;

namespace {

constexpr auto time_inside = 3s;

/// The signals that call it off. To be blocked before there are other threads.
sigset_t calls_off() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  return signals;
}

/// Stops the source at the first of the signals, and returns then or when `done`.
void await_signals(const std::stop_token& done, std::stop_source& source) {
  const sigset_t signals = calls_off();
  const timespec moment{.tv_sec = 0, .tv_nsec = 20'000'000};
  while (!done.stop_requested()) {
    if (::sigtimedwait(&signals, nullptr, &moment) > 0) source.request_stop();
  }
}

}  // namespace

int main() try {
  const sigset_t signals = calls_off();
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  std::stop_source called_off;
  const std::jthread listener{await_signals, std::ref(called_off)};

  const redismutex::RedisMutex mutex{redismutex::Connection{}, {.block_time = 60s, .auto_renew = true}};
  const auto lock = mutex.acquire_lock("cancel", called_off.get_token());
  std::cout << "inside" << std::endl;
  const auto end = std::chrono::steady_clock::now() + time_inside;
  while (!called_off.stop_requested() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(10ms);
} catch (const redismutex::LockCancelled&) {
  std::cout << "called off\n";
  return 130;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
