#include "net/pause.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>

namespace redismutex::net {

std::chrono::microseconds jittered_pause(unsigned failures, std::chrono::microseconds first,
                                         std::chrono::microseconds longest) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return jittered_pause(failures, first, longest, random());
}

std::chrono::microseconds jittered_pause(unsigned failures, std::chrono::microseconds first,
                                         std::chrono::microseconds longest, std::uint64_t random_bits) {
  const auto most = std::min(longest, first * (1U << std::min(failures, 16U)));
  const auto least = most / 4;
  return least + std::chrono::microseconds{random_bits % static_cast<std::uint64_t>((most - least).count() + 1)};
}

bool pause_until(Deadline until, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock{mutex};
  never.wait_until(lock, stop, until, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace redismutex::net
