#pragma once

#include "protocol/key.hpp"
#include "sim/bell.hpp"
#include "sim/process.hpp"
#include "sim/task.hpp"
#include "sim/worker.hpp"

namespace redismutex::sim {

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
