#pragma once

#include <memory>
#include <string>

#include "engine/approach.hpp"
#include "engine/quorum/quorum_lease.hpp"
#include "protocol/key.hpp"
#include "sim/bell.hpp"
#include "sim/drive.hpp"
#include "sim/process.hpp"
#include "sim/quorum_process.hpp"
#include "sim/quorum_witness.hpp"
#include "sim/task.hpp"
#include "sim/worker.hpp"

namespace redismutex::sim {

/// One thread of a process, or one of its coroutines: takes locks of a quorum, is inside for a while, and gives them back.
class QuorumWorker {
 public:
  QuorumWorker(QuorumProcess& process, int thread, const Habits& habits, QuorumWitness& witness)
      : panel_{process.panel()},
        process_{process.first()},
        world_{process_.world()},
        client_{process_.client(thread)},
        habits_{habits},
        where_{draw_where(world_)},
        witness_{witness},
        bell_{world_, process_} {}

  Task<> run();

 private:
  using Lease = std::shared_ptr<engine::QuorumLease>;

  Task<> turn(const protocol::Key& key);
  engine::Wishes wishes();
  Task<Lease> acquire(const protocol::Key& key, const engine::Wishes& wishes);
  Task<> use(const Lease& lease);
  Task<> stay(const Lease& lease);
  Task<> extend(const Lease& lease);
  Task<> give_back(const Lease& lease);
  bool is_valid(const Lease& lease) const { return process_.now() < lease->valid_until(); }
  void record(Event::Kind kind, const protocol::Key& key, std::string id, std::string note = {});

  const std::shared_ptr<const engine::Panel> panel_;
  Process& process_;
  World& world_;
  const int client_;
  const Habits habits_;
  const Drive::Where where_;
  QuorumWitness& witness_;
  Bell bell_;
};

}  // namespace redismutex::sim
