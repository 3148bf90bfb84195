#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "protocol/acquire.hpp"
#include "protocol/extend.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "sim/bell.hpp"
#include "sim/process.hpp"
#include "sim/task.hpp"

namespace redismutex::sim {

/// What all clients of one simulation have agreed on.
struct Habits {
  std::chrono::milliseconds expiry;
  std::chrono::milliseconds delay;
  Time longest_stay;   ///< inside
  Time longest_think;  ///< between two rounds
};

/// A lock that was taken; as engine::Lease.
class Lease : public std::enable_shared_from_this<Lease> {
 public:
  Lease(Process& process, int client, const protocol::Key& key, protocol::OwnerId id, std::chrono::milliseconds expiry,
        const protocol::Acquire::Held& held);

  /// If it was handed over with a short lease, asks for the full one.
  void confirm();

  const protocol::Key& key() const noexcept { return key_; }
  const protocol::OwnerId& id() const noexcept { return id_; }
  protocol::Instant valid_until() const noexcept { return valid_until_; }
  bool valid() const { return process_.now() < valid_until_; }

  Task<> extend(Bell& bell, std::chrono::milliseconds expiry);
  Task<> release(Bell& bell);

 private:
  void shorten(std::chrono::milliseconds expiry);
  void conclude(const protocol::Extend::Outcome& outcome);
  static Task<> see_to_claim(std::shared_ptr<Lease> lease);

  Process& process_;
  const int client_;
  const protocol::Key& key_;
  const protocol::OwnerId id_;
  std::chrono::milliseconds expiry_;
  protocol::Instant valid_until_;
  bool claim_;
  bool given_back_ = false;
};

/// One thread of a process: takes locks, is inside for a while, and gives them back.
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
  Task<> turn(const protocol::Key& key);
  Task<std::shared_ptr<Lease>> acquire(const protocol::Key& key);
  std::shared_ptr<Stop> stop_some_time();
  Task<> stay(Lease& lease);
  void clean_up(const protocol::Key& key, const protocol::OwnerId& id, const protocol::Acquire& machine);
  static Task<> release_in_background(Process& process, const protocol::Key& key, protocol::OwnerId id,
                                      protocol::Instant until);

  Process& process_;
  World& world_;
  const int client_;
  const Habits habits_;
  Bell bell_;
};

/// A client of the plain pattern: SET NX, and a script that compares and deletes.
class Stranger {
 public:
  Stranger(Process& process, Habits habits)
      : process_{process}, world_{process.world()}, habits_{habits}, bell_{world_, process} {}

  Task<> run();

 private:
  Task<> turn(const protocol::Key& key);

  Process& process_;
  World& world_;
  const Habits habits_;
  Bell bell_;
};

}  // namespace redismutex::sim
