#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <stop_token>
#include <string>

#include "api/loop_driver.hpp"
#include "engine/conversation.hpp"
#include "engine/session.hpp"
#include "net/fork.hpp"
#include "net/workers.hpp"
#include "protocol/machine.hpp"
#include "route/callbacks.hpp"
#include "route/cluster.hpp"
#include "route/peer.hpp"
#include "route/procedure.hpp"
#include "route/router.hpp"
#include "route/server.hpp"
#include "route/sleeper.hpp"
#include "route/workroom.hpp"

namespace redismutex::api {

/// A Connection in one process: the engine's Session with a server, threads and callbacks of its own. Thread-safe.
class Runtime {
 public:
  explicit Runtime(ConnectionOptions options);

  /// Gives back what was to be given back in the background, within the time for one operation.
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  engine::Session& session() noexcept { return session_; }
  engine::Callbacks& callbacks() noexcept { return *callbacks_; }

  LoopDriver& loop_driver() noexcept { return loop_driver_; }

  /// Of what the Connection leads to, for people.
  const std::string& server_name() const noexcept { return name_; }

  /// None if nobody wants to be told.
  Observer* observer() const noexcept { return callbacks_->observer(); }

  /// See route::drive().
  void drive(route::Procedure& procedure, route::Sleeper& sleeper, const std::stop_token& stop = {}) {
    route::drive(procedure, sleeper, stop);
  }

  /// The same for a machine of the protocol layer, within the time for one operation: why it gave up, if it did. `at`: the server, if it is
  /// not the one where the machine's key lives.
  std::optional<route::Failure> run(protocol::Machine& machine, route::Server* at = nullptr);

  /// The same by these terms.
  std::optional<route::Failure> run(protocol::Machine& machine, const engine::Conversation::Terms& terms);

  /// Of a cluster: asks where its slots are, if that is not known yet. What keeps it from that is no matter here.
  void learn_map();

  /// The servers of a cluster: those that have slots, and those of the URL. Throws std::bad_alloc.
  std::vector<route::Server*> reach_all();

  /// Once, and only if there is a log to write to: looks in the background whether the server is set up for locks.
  void survey() noexcept;

  /// Whether it is a parent's, and this process only a child of fork(): then it is not to be touched.
  bool inherited() const noexcept { return generation_ != net::fork_generation(); }

  /// Whether the caller is one of the threads that it may wait for when it ends.
  bool runs_this_thread() const noexcept { return reactor_.runs_this_thread(); }

 private:
  /// A server, and the way to it.
  struct Station;

  route::Router make_router();
  route::Server& make_station(const ConnectionOptions& options);
  route::Server& make_lane(const ConnectionOptions& options);
  Station& add_station(const ConnectionOptions& options);
  route::Peer::Handlers handlers(Station& station);
  route::Peer::Handlers lane_handlers(Station& station);
  void take_push(Station& station, net::ReplyView push);
  void note_linked(Station& station, net::Link& link, bool again);
  void note_lane_linked(Station& station, net::Link& link, bool again);
  void tell_connected(const Station& station, bool again);
  void note_broken(Station& station, const net::Link& link) noexcept;
  void note_failed(const Station& station, const route::Failure& why) noexcept;
  void note_replaced(Station& station, const net::Link& link) noexcept;

  const std::uint64_t generation_ = net::fork_generation();
  const std::shared_ptr<engine::Callbacks> callbacks_;
  const ConnectionOptions options_;
  const std::string name_;
  net::ReactorOnDemand reactor_;
  std::mutex stations_mutex_;    // guards the list
  std::list<Station> stations_;  // each stays where it is
  route::Workroom workroom_;     // uses the peers until it has finished
  LoopDriver loop_driver_;
  std::optional<route::Cluster> cluster_;  // makes stations
  engine::Session session_;                // is told of pushes by the links
  std::atomic<bool> surveyed_{false};
};

}  // namespace redismutex::api
