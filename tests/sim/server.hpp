#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/keyspace.hpp"
#include "sim/lua_host.hpp"
#include "sim/value.hpp"

namespace redismutex::sim {

/// A Redis server without a network: the commands, channels, scripts and client-side caching that a lock client may use,
/// in RESP3, as server_test.cpp compares with a real one.
class Server {
 public:
  using Connection = int;

  /// In what servers differ.
  struct Conduct {
    bool before_7_2 =
        false;  ///< a script's messages to its caller come before its answer, and whatever key it reads, all
                ///< that it declares are tracked
    bool refuses_channels = false;  ///< an ACL without channel rights
    bool refuses_tracking = false;
    bool refuses_counting = false;  ///< an ACL without PUBSUB
    Connection first_connection = 1;
  };

  struct Surroundings {
    std::function<std::int64_t()> now_us;            ///< the server's clock
    std::function<void(Connection, Value)> deliver;  ///< an answer or a push
    std::function<void(const std::string& key)> on_change = [](auto&&...) {};
    std::function<void(const std::string& channel, const std::string& message)> on_publish = [](auto&&...) {};
    std::function<std::string(const std::string&)> rewrite_script = {};  ///< a mutant's
  };

  Server(LuaHost& lua, Conduct conduct, Surroundings surroundings);

  Connection connect() { return next_connection_++; }
  void disconnect(Connection connection);
  void execute(Connection connection, const std::vector<std::string>& command);

  /// What SCRIPT FLUSH and a restart without persistence do; connections stay, for the caller to close.
  void forget_scripts() { scripts_.clear(); }
  void forget_everything();

  /// What a failover to a replica does: it has the keys that it had received.
  void take_over(const Keyspace& replica);

  /// Refuses to write from now on, in the middle of a script too, as with NOREPLICAS or MISCONF; "": no more.
  void refuse_writes(std::string why) { refusal_ = std::move(why); }

  /// Writes are refused.
  void follow_master(bool follows) { follows_master_ = follows; }

  // A replica's: it is sent what its master did.
  void become_replica();
  void replicate(const std::string& key, const std::optional<Keyspace::Entry>& entry);
  void relay(const std::string& channel, const std::string& message);

  /// The server's own round: deletes the key if its time has come.
  void expire_if_due(const std::string& key);

  const Keyspace& keyspace() const noexcept { return keyspace_; }
  std::size_t receivers(const std::string& channel) const;

  /// Commands that do not exist or that no real server would take: a mistake of whoever sent them.
  const std::vector<std::string>& complaints() const noexcept { return complaints_; }

 private:
  struct Client {
    bool tracking = false;
    bool noloop = false;
    bool caching = false;  // for the next command
    std::set<std::string> channels = {};
  };
  using Arguments = std::vector<std::string>;

  struct Command {
    int arity;  ///< with its name; negative: at least so many
    bool reads = false;
    bool writes = false;
    bool needs_memory = false;  ///< refused when there is none left
    bool in_scripts = true;
    Value (Server::*run)(const Arguments&);
  };
  static const std::map<std::string, Command, std::less<>>& commands();

  using Scripts = std::map<std::string, LuaHost::Script, std::less<>>;  // by digest

  Value perform(const Arguments& arguments, bool in_script);
  Scripts::iterator keep(const std::string& source);
  Value evaluate(LuaHost::Script script, const Arguments& arguments);
  void notice_change(const std::string& key);
  void push(Connection connection, Value value);
  void track(const Arguments& arguments, bool in_script);
  Value complain(std::string text);

  Value ping(const Arguments& arguments);
  Value get(const Arguments& arguments);
  Value set(const Arguments& arguments);
  Value del(const Arguments& arguments);
  Value exists(const Arguments& arguments);
  Value pexpire(const Arguments& arguments);
  Value pttl(const Arguments& arguments);
  Value hget(const Arguments& arguments);
  Value hmget(const Arguments& arguments);
  Value hset(const Arguments& arguments);
  Value hdel(const Arguments& arguments);
  Value hexists(const Arguments& arguments);
  Value hlen(const Arguments& arguments);
  Value time(const Arguments& arguments);
  Value publish(const Arguments& arguments);
  Value pubsub(const Arguments& arguments);
  Value subscribe(const Arguments& arguments);
  Value client(const Arguments& arguments);
  Value script(const Arguments& arguments);
  Value eval(const Arguments& arguments);
  Value evalsha(const Arguments& arguments);
  Value flushall(const Arguments& arguments);
  Value config(const Arguments& arguments);
  Value replicaof(const Arguments& arguments);
  std::string why_refused(const Command& command, bool in_script) const;

  LuaHost& lua_;
  const Conduct conduct_;
  const Surroundings surroundings_;
  Keyspace keyspace_;
  Connection next_connection_;
  std::map<Connection, Client> clients_;
  std::map<std::string, std::set<Connection>> tracked_;  // who is to be told of a key
  Scripts scripts_;
  std::vector<std::string> complaints_;
  bool full_ = false;
  std::string refusal_;
  bool follows_master_ = false;

  // Of the command that runs:
  Connection caller_ = 0;
  std::vector<std::string> declared_;  // a script's keys
  bool wrote_ = false;
  bool no_reply_ = false;  // SUBSCRIBE answers by a push
  std::vector<Value> before_reply_, after_reply_;
};

}  // namespace redismutex::sim
