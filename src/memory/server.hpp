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

#include "memory/keyspace.hpp"
#include "memory/lua_host.hpp"
#include "memory/value.hpp"

namespace redismutex::memory {

/// A Redis server without a network: the commands, channels, scripts and client-side caching that a lock client may use,
/// in RESP3, as tests/sim/server_test.cpp compares with a real one.
class Server {
 public:
  using Connection = int;

  /// In what servers differ.
  struct Conduct {
    /// A script's messages to its caller come before its answer, and whatever key it reads, all that it declares are tracked.
    bool before_7_2 = false;

    /// And there are no sharded channels, SET GET and PEXPIRE GT are unknown, scripts may write while replicas are too few,
    /// the error that ends a script is wrapped: "ERR Error running script (call to f_...): @user_script:81: ...", and in
    /// spite of NOLOOP a client is told of what its own scripts write.
    bool before_7_0 = false;

    /// The command that deletes a key by its value, in one step.
    enum class Deletion { none, delifeq, delex } deletion = Deletion::none;

    bool refuses_channels = false;  ///< an ACL without channel rights
    bool refuses_tracking = false;
    bool refuses_publishing = false;  ///< one without PUBLISH
    bool refuses_counting = false;    ///< one without PUBSUB
    Connection first_connection = 1;
  };

  struct Message {
    bool sharded;
    std::string channel;
    std::string text;
  };

  struct Surroundings {
    std::function<std::int64_t()> now_us;            ///< the server's clock
    std::function<void(Connection, Value)> deliver;  ///< an answer or a push
    std::function<void(const std::string& key)> on_change = [](auto&&...) {};
    std::function<void(const Message&)> on_publish = [](auto&&...) {};
    std::function<std::string(const std::string&)> rewrite_script = {};  ///< a mutant's
    std::string address = {};                                            ///< of the clients, in CLIENT LIST
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
  void relay(const Message& message);

  /// The server's own round: deletes the key if its time has come.
  void expire_if_due(const std::string& key);

  /// Deletes the key as if its time had come; whether it was there.
  bool end(const std::string& key);

  const Keyspace& keyspace() const noexcept { return keyspace_; }
  std::size_t receivers(bool sharded, const std::string& channel) const;

  /// Commands that do not exist or that no real server would take: a mistake of whoever sent them.
  const std::vector<std::string>& complaints() const noexcept { return complaints_; }

 private:
  struct Client {
    std::string name = {};
    bool tracking = false;
    bool noloop = false;
    bool caching = false;  // for the next command
    std::set<std::string> channels = {};
    std::set<std::string> sharded_channels = {};

    // Between MULTI and EXEC:
    bool queues = false;
    bool queues_in_vain = false;  // a command was refused
    std::vector<std::vector<std::string>> queue = {};

    bool listens(bool sharded, const std::string& channel) const {
      return (sharded ? sharded_channels : channels).contains(channel);
    }
  };
  using Arguments = std::vector<std::string>;

  struct Command {
    int arity;  ///< with its name; negative: at least so many
    bool reads = false;
    bool writes = false;
    bool needs_memory = false;  ///< refused when there is none left
    bool in_scripts = true;
    bool since_7_0 = false;
    Conduct::Deletion only_with = Conduct::Deletion::none;
    Value (Server::*run)(const Arguments&);
  };
  static const std::map<std::string, Command, std::less<>>& commands();

  using Scripts = std::map<std::string, LuaHost::Script, std::less<>>;  // by digest

  /// Finds the command, unless the answer is an error.
  const Command* look_up(const Arguments& arguments, bool in_script, Value& error);
  Value perform(const Arguments& arguments, bool in_script);
  Value carry_out(const Command& command, const Arguments& arguments, bool in_script);
  Value queue(const Arguments& arguments);
  void deliver_message(const Message& message);
  Value score(double score) const;
  void add_member(Value& list, const std::string& member, const double* points) const;
  Scripts::iterator keep(const std::string& source);
  Value evaluate(LuaHost::Script script, const Arguments& arguments);
  void notice_change(const std::string& key);
  void push(Connection connection, Value value);
  void track(const Arguments& arguments, bool in_script);
  Value complain(std::string text);

  Value ping(const Arguments& arguments);
  Value get(const Arguments& arguments);
  Value set(const Arguments& arguments);
  Value psetex(const Arguments& arguments);
  Value del(const Arguments& arguments);
  Value delifeq(const Arguments& arguments);
  Value delex(const Arguments& arguments);
  Value exists(const Arguments& arguments);
  Value getrange(const Arguments& arguments);
  Value strlen(const Arguments& arguments);
  Value type(const Arguments& arguments);
  Value scan(const Arguments& arguments);
  Value dbsize(const Arguments& arguments);
  Value pexpire(const Arguments& arguments);
  Value pttl(const Arguments& arguments);
  Value zadd(const Arguments& arguments);
  Value zrem(const Arguments& arguments);
  Value zscore(const Arguments& arguments);
  Value zrange(const Arguments& arguments);
  Value zrangebyscore(const Arguments& arguments);
  Value zcount(const Arguments& arguments);
  Value zcard(const Arguments& arguments);
  Value time(const Arguments& arguments);
  Value publish(const Arguments& arguments);
  Value spublish(const Arguments& arguments);
  Value pubsub(const Arguments& arguments);
  Value subscribe(const Arguments& arguments);
  Value ssubscribe(const Arguments& arguments);
  Value hello(const Arguments& arguments);
  Value info(const Arguments& arguments);
  Value wait(const Arguments& arguments);
  Value client(const Arguments& arguments);
  Value client_caching(const Arguments& arguments);
  Value client_tracking(const Arguments& arguments);
  Value client_list(const Arguments& arguments);
  const char* version() const;
  Value multi(const Arguments& arguments);
  Value exec(const Arguments& arguments);
  Value discard(const Arguments& arguments);
  Value script(const Arguments& arguments);
  Value eval(const Arguments& arguments);
  Value evalsha(const Arguments& arguments);
  Value flushall(const Arguments& arguments);
  Value config(const Arguments& arguments);
  Value replicaof(const Arguments& arguments);
  Value send_message(bool sharded, const Arguments& arguments);
  Value listen(bool sharded, const Arguments& arguments);
  std::string why_refused(const Command& command, bool in_script) const;

  LuaHost& lua_;
  const Conduct conduct_;
  const Surroundings surroundings_;
  Keyspace keyspace_;
  Connection next_connection_;
  std::int64_t started_at_us_;
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
  bool in_script_ = false;
  bool wrote_ = false;
  bool no_reply_ = false;  // SUBSCRIBE answers by a push
  std::vector<Value> before_reply_, after_reply_;
};

}  // namespace redismutex::memory
