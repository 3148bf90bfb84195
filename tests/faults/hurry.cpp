#include "faults/hurry.hpp"

#include <array>
#include <chrono>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <string>
#include <thread>
#include <utility>

#include "faults/balance.hpp"
#include "faults/setting.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

std::optional<Lock> attempt(const RedisMutex& mutex, const std::string& key, sim::Random& random) try {
  if (random.chance(300'000)) return mutex.try_acquire_lock(key);
  return mutex.try_acquire_lock_for(key, std::chrono::milliseconds{random.between(1, 20)});
} catch (const Error&) {
  return std::nullopt;
}

void end(std::optional<Lock>& lock, sim::Random& random) try {
  if (random.chance(500'000)) {
    lock->release();
  } else if (random.chance(5'000)) {
    lock->leave();
  } else if (random.chance(100'000)) {
    lock->extend();
  }
  lock.reset();
} catch (const Error&) {
  lock.reset();
}

}  // namespace

void hurry(const Connection& connection, Register& resource, sim::Random random) {
  const Options options{.block_time = block_time, .delay = delay, .expiry = expiry};
  Options renewed = options;
  renewed.auto_renew = true;
  const std::array mutexes{RedisMutex{connection, options}, RedisMutex{connection, renewed}};
  for (long attempts = 1; !resource.asked_to_stop(); ++attempts) {
    const std::string key = "busy-" + std::to_string(random.below(20));
    std::optional<Lock> lock = attempt(mutexes.at(random.below(2)), key, random);
    Balance::check(attempts, lock ? 1 : 0);
    if (lock) {
      if (random.chance(100'000)) std::this_thread::sleep_for(random.between(0us, 2000us));
      end(lock, random);
      Balance::check(attempts, 0);
    }
    resource.note_balance();
    std::this_thread::sleep_for(random.between(0us, 2000us));
  }
}

}  // namespace redismutex::faults
