#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "histories/history.hpp"
#include "memory/lua_host.hpp"
#include "memory/server.hpp"
#include "protocol/key.hpp"
#include "sim/agenda.hpp"
#include "sim/line.hpp"
#include "sim/mutant.hpp"
#include "sim/profile.hpp"
#include "sim/random.hpp"

namespace redismutex::sim {

using memory::LuaHost;
using memory::Server;
using memory::Value;

using histories::Event;
using histories::History;

class Link;

/// Time and chance, of one simulation.
struct Fate {
  Agenda agenda = {};
  Random random;
};

/// What one simulation consists of besides its clients: the server and the network to it, and the record. One with several servers has one of
/// these for each.
class World {
 public:
  /// All must outlive it.
  World(LuaHost& lua, const Profile& what, Fate& fate, Mutant mistake);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  const Profile& profile;
  const Mutant mutant;
  Agenda& agenda;
  Random& random;

  const std::vector<protocol::Key>& keys() const noexcept { return keys_; }
  void add_key(std::string text);

  Time now() const noexcept { return agenda.now(); }
  bool chance(std::uint64_t per_million) { return random.chance(per_million); }

  // The record.
  History take_history() { return std::move(history_); }
  void record(Event event);

  // The server.
  const Server& server() const noexcept { return *server_; }
  const Server::Conduct& conduct() const noexcept { return conduct_; }
  std::vector<std::string> complaints() const;
  bool server_is_up() const noexcept { return up_; }
  Server::Connection connect(const std::shared_ptr<Link>& link);
  void disconnect(Server::Connection connection);
  void execute(Server::Connection connection, const std::vector<std::string>& command);
  void set_server_clock(Time ahead);
  void restart_server(Time down);
  void isolate_server(Time duration);
  void pause_server(Time duration);
  Time server_paused_until() const noexcept { return paused_until_; }

  /// To a replica that will have missed what happens from now on until then.
  void fail_over(Time lag);

  /// What REPLICAOF or FAILOVER does, without a loss: after `gap`, in which nobody takes writes, a replica has become the
  /// master. The old server goes on serving the connections that it has, without writes, until `leave_after`.
  void switch_roles(Time gap, Time leave_after);

  /// Reads and messages go on.
  void refuse_writes(const std::string& why, Time duration);
  void forget_scripts();
  void delete_by_hand(const protocol::Key& key);
  void delete_all_by_hand();
  void fill_up(Time duration);
  std::vector<std::string> keys_left();

  /// Who owns the key, and who is the first in line for it: a client's number; 0 for nobody.
  int owner_of(const protocol::Key& key) const;
  int first_in_line_for(const protocol::Key& key) const;

  /// What scripts did to lines.
  const std::vector<std::string>& mistakes() const noexcept { return mistakes_; }

  /// What somebody does at the server who is no client of ours.
  void by_hand(const std::vector<std::string>& command, std::string_view how);

  /// The server's time.
  std::int64_t server_now_us() const;

  /// How far the floor of some key's tokens was ahead of the server's clock at the most.
  std::chrono::microseconds farthest_floor() const noexcept { return farthest_floor_; }

 private:
  Time true_time(std::chrono::microseconds server_time) const;
  void when_it_runs(std::function<void()> work);
  std::shared_ptr<Server> make_server();
  void promote_replica(Time leave_after);
  void retire_demoted();
  void replicate(const std::set<std::string>& touched);
  void reset_connections();
  void deliver(Server::Connection connection, Value value);
  struct Cause {
    const std::vector<std::string>* command = nullptr;
    std::string_view other = {};
  };

  /// What is known of a lock at the server.
  struct Watched {
    std::string owner = {};
    std::int64_t owner_expires_at_ms = 0;
    Line line = {};
    std::int64_t line_expires_at_ms = 0;
  };
  struct Touched {
    bool owner = false, line = false, floor = false;
  };
  void watch(const Cause& cause);
  void watch_lock(std::size_t key, const Cause& cause, const Touched& touched);
  void watch_owner(std::size_t key, const Cause& cause);
  Line watch_line(std::size_t key, Line present);
  void watch_floor(const protocol::Key& key);
  bool reaches(const Waiter& waiter) const;
  void plan_expiry(const std::string& key);
  int client_of(const std::string& id) const;

  History history_;
  Time server_clock_ahead_{0};
  std::chrono::microseconds farthest_floor_{0};
  bool up_ = true;
  Time paused_until_{0};
  std::deque<std::function<void()>> arrived_;  // while it was paused
  std::set<std::string> touched_;
  std::set<std::string> expiry_planned_;
  std::vector<protocol::Key> keys_;
  std::vector<Watched> watched_;  // of each key
  struct Part {
    std::size_t key;
    bool Touched::*what;
  };
  std::unordered_map<std::string, Part> parts_;  // by the names of the keys, and of those beside them
  std::vector<std::string> mistakes_;
  LuaHost& lua_;
  Server::Conduct conduct_;
  struct Connected {
    std::weak_ptr<Link> link;
    std::shared_ptr<Server> server;
  };
  std::map<Server::Connection, Connected> links_;
  int servers_made_ = 0;            // the last is the master
  std::shared_ptr<Server> server_;  // the master
  bool switching_ = false;          // it is about to be demoted

  // The master before, while there are connections to it:
  std::shared_ptr<Server> demoted_;
  std::vector<Server::Message> published_;  // by the command that runs
  Time replicated_until_{0};
  std::vector<std::string> earlier_complaints_;
};

}  // namespace redismutex::sim
