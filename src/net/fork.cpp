#include "net/fork.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

namespace redismutex::net {
namespace {

std::atomic<std::uint64_t> generation{0};

// Those who hold fork() off share it. It prefers who wants it alone, or a fork might wait for ever; and so nobody may ask for it
// twice.
constexpr pthread_rwlock_t unlocked = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
pthread_rwlock_t forking = unlocked;
thread_local int holding_off = 0;

struct Registry {
  std::mutex mutex;
  std::vector<ForkAware*> members;

  // Taken last: members may close descriptors while they hold locks of their own.
  std::mutex descriptors_mutex;
  std::vector<int> descriptors;
};

Registry& registry() {
  // Never destroyed: objects with static storage may fork, or unregister, at any time until the end.
  static Registry* const instance = [] {
    auto* made = new Registry;
    const int problem = ::pthread_atfork(
        [] {
          registry().mutex.lock();
          for (ForkAware* member : registry().members) member->before_fork();
          registry().descriptors_mutex.lock();
          ::pthread_rwlock_wrlock(&forking);  // last: who holds a fork off takes no other lock of ours
        },
        [] {
          ::pthread_rwlock_unlock(&forking);
          registry().descriptors_mutex.unlock();
          for (ForkAware* member : registry().members) member->after_fork_in_parent();
          registry().mutex.unlock();
        },
        [] {
          ++generation;
          forking = unlocked;  // it knows its owner by the number of the thread, which is another one here
          for (const int fd : registry().descriptors) ::close(fd);
          registry().descriptors.clear();
          registry().descriptors_mutex.unlock();
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
  if (holding_off++ == 0) ::pthread_rwlock_rdlock(&forking);
}

HoldsOffFork::~HoldsOffFork() {
  if (--holding_off == 0) ::pthread_rwlock_unlock(&forking);
}

void ForkAware::register_for_fork() {
  const std::lock_guard lock{registry().mutex};
  registry().members.push_back(this);
}

void ForkAware::unregister_for_fork() noexcept {
  const std::lock_guard lock{registry().mutex};
  std::erase(registry().members, this);
}

}  // namespace redismutex::net
