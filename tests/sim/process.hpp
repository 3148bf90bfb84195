#pragma once

#include <coroutine>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/acquisition.hpp"
#include "engine/session.hpp"
#include "histories/history.hpp"
#include "protocol/machine.hpp"
#include "protocol/owner_id.hpp"
#include "route/environment.hpp"
#include "sim/background.hpp"
#include "sim/bell.hpp"
#include "sim/callbacks.hpp"
#include "sim/clock.hpp"
#include "sim/peer.hpp"
#include "sim/task.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {

class Lock;

/// A process with one connection for all its threads, and the library in it. Has a clock of its own.
class Process final : private route::Environment, private Peer::Listener {
 public:
  Process(World& world, int number, int threads) : Process{world, number, threads, draw_clock(world)} {}

  /// One of several connections of a process, which has one clock.
  Process(World& world, int number, int threads, const Clock& clock);
  ~Process();

  static Clock draw_clock(World& world);

  /// It is being taken apart: nothing is begun any more,
  void end();
  /// and its threads are gone. What these have may be of other connections of the process: so all of them end first.
  void drop_threads();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  World& world() noexcept { return world_; }
  int number() const noexcept { return number_; }
  int client(int thread) const noexcept { return number_ * histories::clients_per_process + thread; }

  // Time and chance.
  protocol::Instant now() const noexcept override { return clock_.at(world_.now()); }
  Time world_now() const noexcept { return world_.now(); }
  Time when(protocol::Instant instant) const;  ///< now, for what is over; never, for what is far away
  route::Environment& environment() noexcept { return *this; }
  protocol::OwnerId draw_id();

  // Trouble.
  bool alive() const noexcept { return alive_; }
  Time paused_until() const noexcept { return paused_until_; }
  void pause(Time duration);
  void die(bool with_its_machine);
  void cut() { peer_.cut(); }

  /// From now on, for so long, it is no wonder if its threads are late.
  void disturbed(Time duration, const char* how);
  void settled();

  /// Perhaps the thread is held up here: at any such point a real one may be.
  struct Point;
  Point point(Bell& bell);
  Task<> sleep(Bell& bell, Time until);

  /// A thread of it: runs until it ends, or the process does. The process counts as idle when all have ended but the servants.
  void spawn(Task<> thread);
  void spawn_servant(Task<> thread);
  bool idle() const;

  Peer& peer() noexcept { return peer_; }
  route::Server& server() noexcept { return peer_.server(); }
  engine::Session& session() noexcept { return session_; }

  /// Drives a state machine until it is done, or gives up with the reason.
  Task<std::optional<Failure>> run(Bell& bell, protocol::Machine& machine, protocol::Instant deadline);

  // The locks that its threads hold. Their leases are looked at after whatever may change them.
  void add(Lock& lock) { locks_.push_back(&lock); }
  void remove(Lock& lock) { std::erase(locks_, &lock); }
  void note_leases();

  // Those of its threads that are on the way to a lock. `behind`: whether one of them stands in line behind somebody.
  void add(engine::Acquisition& acquisition, std::string_view key) { asking_.push_back({&acquisition, key}); }
  void remove(const engine::Acquisition& acquisition) {
    std::erase_if(asking_, [&](const Asking& each) { return each.acquisition == &acquisition; });
  }
  bool somebody_is_behind(const engine::Acquisition& acquisition, std::string_view key) const;

  /// Of these leases it is not known what the server was told last, because an answer was missing: by their ids.
  std::set<std::string>& doubtful_leases() noexcept { return doubtful_leases_; }

  /// How long an operation may take that has no time limit of its own.
  protocol::Instant patience() const { return now() + Peer::connect_timeout + Peer::command_timeout; }

  /// Whether a key that is held can be watched. On Redis 6.0 it can not: each renewal would be told to the one who renews.
  bool watches_holds() { return server().pushes().may_track() && !world_.conduct().before_7_0; }

 private:
  std::chrono::milliseconds wall_clock() const noexcept override;
  std::uint64_t random_bits() override { return world_.random.next(); }

  void take_push(const Value& push) override;
  void linked(const net::Greeting& greeting) override;
  void link_broke() override {}
  Task<> hold_up(Bell& bell);

  World& world_;
  const int number_;
  const int threads_;
  const Clock clock_;
  bool alive_ = true;
  Time paused_until_{0};

  Peer peer_;
  Background background_;
  const std::shared_ptr<Callbacks> callbacks_;
  engine::Session session_;
  std::vector<Lock*> locks_;
  struct Asking {
    engine::Acquisition* acquisition;
    std::string_view key;
  };
  std::vector<Asking> asking_;
  std::set<std::string> doubtful_leases_;
  std::list<Task<>> servants_,
      running_;  // last: what runs uses the rest; and places in line, which batches are under way for, go first
};

/// Where a thread may be held up: mostly it is not.
struct Process::Point {
  std::optional<Task<>> pause = {};
  bool await_ready() const noexcept { return !pause; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) { return pause->await_suspend(caller); }
  void await_resume() const noexcept {}
};

}  // namespace redismutex::sim
