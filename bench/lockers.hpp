#pragma once

#include <memory>
#include <redismutex/redismutex.hpp>
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

/// This library. Lockers made from copies of one mutex share its connection.
std::unique_ptr<Locker> make_ours(RedisMutex mutex);

/// By name:
///   ours         this library, with a connection of its own and the default options
///   ours-fenced  the same with Options::fencing
///   ours-patient as ours, with a block time of a minute
///   floor        what no library can go below: the two bare commands in the calling thread, one send() and one recv() each,
///                with a ready-made id: SET key id NX PX 7000, and the release script by its digest
///   seed         py-redismutex's algorithm: SET key id NX EX 7 every 0.5 s; GET, then DEL
std::unique_ptr<Locker> make_locker(const std::string& name, const std::string& url);

/// For the threads of one process: so many over each of so many connections, if they are "ours-patient"; others have a
/// connection each.
std::vector<std::unique_ptr<Locker>> make_lockers(const std::string& name, const std::string& url, int connections,
                                                  int threads);

}  // namespace redismutex::bench
