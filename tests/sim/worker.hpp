#pragma once

#include <chrono>
#include <memory>

#include "protocol/acquire.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "sim/bell.hpp"
#include "sim/lease.hpp"
#include "sim/process.hpp"
#include "sim/task.hpp"

namespace redismutex::sim {

/// What all clients of one simulation have agreed on.
struct Habits {
  std::chrono::milliseconds expiry;
  std::chrono::milliseconds delay;
  Time longest_stay;   ///< inside
  Time longest_think;  ///< between two rounds
  int max_waiters;
};

/// One thread of a process: takes locks, is inside for a while, and gives them back. Does what engine::Acquisition does.
class Worker {
 public:
  Worker(Process& process, int thread, Habits habits)
      : process_{process},
        world_{process.world()},
        client_{process.client(thread)},
        habits_{habits},
        bell_{world_, process} {}

  Task<> run();

 private:
  /// What it wants of the lock this time.
  struct Wishes {
    bool fencing = false;
    bool renewal = false;
    bool watching = false;
    int most_passes = 0;
    Time longest_stay{0};

    bool cared_for() const noexcept { return renewal || watching; }
  };

  Task<> turn(const protocol::Key& key);
  Wishes make_wishes();
  Task<std::shared_ptr<Lease>> acquire(const protocol::Key& key, const Wishes& wishes);
  std::shared_ptr<Stop> stop_some_time();
  Task<> use(std::shared_ptr<Lease> lease, const Wishes& wishes);
  Task<> stay(Lease& lease, const Wishes& wishes);

  Process& process_;
  World& world_;
  const int client_;
  const Habits habits_;
  Bell bell_;
};

}  // namespace redismutex::sim
