#include <map>
#include <mutex>
#include <redismutex/mutex.hpp>
#include <thread>
#include <utility>

#include "protocol/key.hpp"

namespace redismutex {

struct Mutex::State {
  RedisMutex mutex;
  std::string key;

  std::mutex guard;  // of held
  // More than one only when a lease ended while its thread was still inside: each thread unlocks its own.
  std::map<std::thread::id, Lock> held;

  void keep(Lock lock) {
    std::optional<Lock> expired;  // released without the guard
    const std::lock_guard hold{guard};
    const auto [place, added] = held.try_emplace(std::this_thread::get_id(), std::move(lock));
    if (added) return;
    expired = std::exchange(place->second, std::move(lock));
  }
};

Mutex::Mutex(Connection connection, std::string key, Options options)
    : state_{new State{RedisMutex{std::move(connection), options}, std::move(key), {}, {}}} {
  [[maybe_unused]] const protocol::Key checked{state_->key};
}

Mutex::~Mutex() = default;

void Mutex::lock() { state_->keep(state_->mutex.acquire_lock(state_->key)); }

bool Mutex::try_lock() {
  auto lock = state_->mutex.try_acquire_lock(state_->key);
  if (lock) state_->keep(std::move(*lock));
  return lock.has_value();
}

bool Mutex::try_lock_within(std::chrono::milliseconds limit) {
  auto lock = state_->mutex.try_acquire_lock_for(state_->key, limit);
  if (lock) state_->keep(std::move(*lock));
  return lock.has_value();
}

void Mutex::unlock() noexcept {
  decltype(state_->held)::node_type released;  // by its destructor, without the guard
  const std::lock_guard hold{state_->guard};
  released = state_->held.extract(std::this_thread::get_id());
}

}  // namespace redismutex
