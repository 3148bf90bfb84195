#include "net/fork.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <vector>

namespace redismutex::net {
namespace {

std::atomic<std::uint64_t> generation{0};

/// Threads that hold fork() off go in and out. A fork waits until the gate is empty, and lets nobody in until it is done.
class Gate {
 public:
  /// For how long a fork waits: until all have left, or so long at the most.
  enum class Stay { brief, lasting };
  static constexpr std::chrono::milliseconds patience_with_lasting_ones{100};

  void enter(Stay stay) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return !closed_; });
    ++inside(stay);
  }

  void leave(Stay stay) {
    const std::lock_guard lock{mutex_};
    if (--inside(stay) == 0 && closed_) changed_.notify_all();
  }

  /// Keeps the lock, so that the child's copy is its own.
  void close() {
    std::unique_lock lock{mutex_};
    closed_ = true;
    changed_.wait_for(lock, patience_with_lasting_ones, [this] { return lasting_ == 0; });
    changed_.wait(lock, [this] { return brief_ == 0; });
    lock.release();
  }

  void open_in_parent() {
    closed_ = false;
    mutex_.unlock();
    changed_.notify_all();
  }

  void open_in_child() {
    new (&changed_) std::condition_variable;  // those who wait at it are the parent's
    lasting_ = 0;                             // of the parent's threads
    closed_ = false;
    mutex_.unlock();
  }

 private:
  int& inside(Stay stay) noexcept { return stay == Stay::lasting ? lasting_ : brief_; }

  std::mutex mutex_;
  std::condition_variable changed_;
  int brief_ = 0, lasting_ = 0;
  bool closed_ = false;
};

thread_local int holding_off = 0;

struct Registry {
  std::mutex descriptors_mutex;
  std::vector<int> descriptors;

  Gate gate;  // closed last: who is inside takes no lock of ours
};

Registry& registry() {
  // Never destroyed: objects with static storage may fork, or unregister, at any time until the end.
  static Registry* const instance = [] {
    auto* made = new Registry;
    const int problem = ::pthread_atfork(
        [] {
          registry().descriptors_mutex.lock();
          registry().gate.close();
        },
        [] {
          registry().gate.open_in_parent();
          registry().descriptors_mutex.unlock();
        },
        [] {
          ++generation;
          registry().gate.open_in_child();
          for (const int fd : registry().descriptors) ::close(fd);
          registry().descriptors.clear();
          registry().descriptors_mutex.unlock();
        });
    if (problem != 0) throw std::bad_alloc{};
    return made;
  }();
  return *instance;
}

// When the program is loaded: a fork amid the first use of the registry would leave the child with one that is never there.
[[maybe_unused]] const bool watches_forks_from_the_start = [] {
  try {
    registry();
    return true;
  } catch (const std::bad_alloc&) {  // whoever needs it tries again
    return false;
  }
}();

}  // namespace

std::uint64_t fork_generation() noexcept { return generation.load(std::memory_order_relaxed); }

int keep_from_children(const std::function<int()>& open) {
  const std::lock_guard lock{registry().descriptors_mutex};
  registry().descriptors.reserve(registry().descriptors.size() + 1);
  const int fd = open();
  if (fd >= 0) registry().descriptors.push_back(fd);
  return fd;
}

void close_kept(int fd) noexcept {
  const std::lock_guard lock{registry().descriptors_mutex};
  std::erase(registry().descriptors, fd);
  ::close(fd);
}

HoldsOffFork::HoldsOffFork() noexcept {
  if (holding_off++ == 0) registry().gate.enter(Gate::Stay::brief);
}

HoldsOffFork::~HoldsOffFork() {
  if (--holding_off == 0) registry().gate.leave(Gate::Stay::brief);
}

DelaysFork::DelaysFork() noexcept { registry().gate.enter(Gate::Stay::lasting); }

DelaysFork::~DelaysFork() { registry().gate.leave(Gate::Stay::lasting); }

}  // namespace redismutex::net
