#include <algorithm>
#include <mutex>
#include <optional>
#include <redismutex/mutex.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "net/fork.hpp"
#include "protocol/key.hpp"

namespace redismutex {
struct Mutex::State {
  struct Held {
    std::thread::id by;
    Lock lock;
  };

  State(Connection connection, std::string key_text, Options options)
      : mutex{std::move(connection), std::move(options)}, key{std::move(key_text)} {
    [[maybe_unused]] const protocol::Key checked{key};
  }

  const RedisMutex mutex;
  const std::string key;

  // Guards what follows. Never locked but while fork() is held off: so no child finds it locked.
  std::mutex guard;
  // The longest held first. More than one only when a lease ended while its thread was still inside: each unlocks its own.
  std::vector<Held> held;

  auto find(std::thread::id thread) {
    return std::find_if(held.begin(), held.end(), [thread](const Held& one) { return one.by == thread; });
  }

  std::optional<Held> take_out(std::vector<Held>::iterator place) {
    if (place == held.end()) return std::nullopt;
    std::optional<Held> taken{std::move(*place)};
    held.erase(place);
    return taken;
  }

  void keep(Lock lock) {
    std::optional<Held> expired;  // released without the guard
    const net::HoldsOffFork no_child;
    const std::lock_guard hold{guard};
    expired = take_out(find(std::this_thread::get_id()));
    held.push_back({std::this_thread::get_id(), std::move(lock)});
  }
};

Mutex::Mutex(Connection connection, std::string key, Options options)
    : state_{new State{std::move(connection), std::move(key), std::move(options)}} {}

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
  std::optional<State::Held> released;  // by its destructor, without the guard
  const net::HoldsOffFork no_child;
  const std::lock_guard hold{state_->guard};
  auto place = state_->find(std::this_thread::get_id());
  if (place == state_->held.end()) place = state_->held.begin();
  released = state_->take_out(place);
}

}  // namespace redismutex
