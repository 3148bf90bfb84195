#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace redismutex::bench {

/// One way to take a lock and give it back. Each belongs to one thread, and holds one lock at a time.
class Locker {
 public:
  Locker() = default;
  Locker(const Locker&) = delete;
  Locker& operator=(const Locker&) = delete;
  virtual ~Locker() = default;

  /// Waits for as long as it takes, but for the floor, which has no way to wait and throws when the lock is taken.
  virtual void lock(const std::string& key) = 0;
  virtual void unlock() = 0;

  void lock_and_unlock(const std::string& key) {
    lock(key);
    unlock();
  }
};

using Lockers = std::vector<std::unique_ptr<Locker>>;

/// Makes lockers of the named kind for the threads of one process: so many over each of so many connections.
using MakeLockers =
    std::function<Lockers(const std::string& name, const std::string& url, int connections, int threads)>;

}  // namespace redismutex::bench
