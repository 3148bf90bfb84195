#include "net/fork.hpp"

#include <pthread.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

namespace redismutex::net {
namespace {

std::atomic<std::uint64_t> generation{0};

struct Registry {
  std::mutex mutex;
  std::vector<ForkAware*> members;
};

Registry& registry() {
  // Never destroyed: objects with static storage may fork, or unregister, at any time until the end.
  static Registry* const instance = [] {
    auto* made = new Registry;
    const int problem = ::pthread_atfork(
        [] {
          registry().mutex.lock();
          for (ForkAware* member : registry().members) member->before_fork();
        },
        [] {
          for (ForkAware* member : registry().members) member->after_fork_in_parent();
          registry().mutex.unlock();
        },
        [] {
          ++generation;
          for (ForkAware* member : registry().members) member->after_fork_in_child();
          registry().mutex.unlock();
        });
    if (problem != 0) throw std::bad_alloc{};
    return made;
  }();
  return *instance;
}

}  // namespace

std::uint64_t fork_generation() noexcept { return generation.load(std::memory_order_relaxed); }

void ForkAware::register_for_fork() {
  const std::lock_guard lock{registry().mutex};
  registry().members.push_back(this);
}

void ForkAware::unregister_for_fork() noexcept {
  const std::lock_guard lock{registry().mutex};
  std::erase(registry().members, this);
}

}  // namespace redismutex::net
