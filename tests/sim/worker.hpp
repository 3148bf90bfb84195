#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "engine/acquisition.hpp"
#include "engine/giving_back.hpp"
#include "protocol/key.hpp"
#include "sim/bell.hpp"
#include "sim/drive.hpp"
#include "sim/lock.hpp"
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

Habits draw_habits(const Profile& profile, Random& random);

/// Now and then somebody loses patience before his limit. `bell`: his.
std::shared_ptr<Stop> stop_some_time(World& world, Bell& bell);

/// Some clients are coroutines.
Drive::Where draw_where(World& world);

/// One thread of a process, or one of its coroutines: takes locks, is inside for a while, and gives them back.
class Worker {
 public:
  Worker(Process& process, int thread, Habits habits)
      : process_{process},
        world_{process.world()},
        thread_{thread},
        client_{process.client(thread)},
        habits_{habits},
        where_{draw_where(world_)},
        bell_{world_, process} {}

  Task<> run();

 private:
  /// What it wants of the lock this time.
  struct Plan {
    engine::Wishes wishes;
    bool listens = false;
    bool weak = false;  ///< asks for short leases in between, shorter than a round trip may be
    Time longest_stay{0};
  };

  Task<> turn(const protocol::Key& key);
  Plan make_plan();
  Task<std::unique_ptr<Lock>> acquire(const protocol::Key& key, const engine::Wishes& wishes);
  Task<> use(Lock& lock, const Plan& plan);
  Task<> stay(Lock& lock, const Plan& plan);
  Task<> extend(Lock& lock, const Plan& plan);
  Task<> give_back(Lock& lock);
  void note_end(Lock& lock, const engine::GivingBack::Outcome& outcome);

  Process& process_;
  World& world_;
  const int thread_;
  const int client_;
  const Habits habits_;
  const Drive::Where where_;
  Bell bell_;
  int rounds_ = 0;
};

}  // namespace redismutex::sim
