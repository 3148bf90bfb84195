#include "sim/server.hpp"

#include <algorithm>
#include <utility>

#include "sim/arguments.hpp"
#include "sim/sha1.hpp"

namespace redismutex::sim {
namespace {

Value message_on(const std::string& channel, const std::string& text) {
  return Value::push({Value::bulk("message"), Value::bulk(channel), Value::bulk(text)});
}

}  // namespace

Server::Server(LuaHost& lua, Conduct conduct, Surroundings surroundings)
    : lua_{lua},
      conduct_{conduct},
      surroundings_{std::move(surroundings)},
      keyspace_{[this](const std::string& key) { notice_change(key); }},
      next_connection_{conduct.first_connection} {}

// ---- connections ----------------------------------------------------------------------------------------------------

void Server::disconnect(Connection connection) {
  clients_.erase(connection);
  for (auto& entry : tracked_) entry.second.erase(connection);
}

void Server::execute(Connection connection, const Arguments& command) {
  caller_ = connection;
  no_reply_ = false;
  keyspace_.set_now(surroundings_.now_us() / 1000);
  Value reply = perform(command, false);
  Client& client = clients_[connection];
  if (command.empty() || upper(command.front()) != "CLIENT") client.caching = false;
  caller_ = 0;
  for (Value& value : std::exchange(before_reply_, {})) surroundings_.deliver(connection, std::move(value));
  if (!no_reply_) surroundings_.deliver(connection, std::move(reply));
  for (Value& value : std::exchange(after_reply_, {})) surroundings_.deliver(connection, std::move(value));
}

void Server::push(Connection connection, Value value) {
  if (connection != caller_) return surroundings_.deliver(connection, std::move(value));
  after_reply_.push_back(std::move(value));
}

/// With NOLOOP, nobody is told of what its own command did; that is so for a key that expires while it is looked at, too.
void Server::notice_change(const std::string& key) {
  surroundings_.on_change(key);
  const auto place = tracked_.find(key);
  if (place == tracked_.end()) return;
  const auto told = std::move(place->second);
  tracked_.erase(place);
  for (const Connection connection : told) {
    if (connection == caller_ && clients_[connection].noloop) continue;
    push(connection, Value::push({Value::bulk("invalidate"), Value::array({Value::bulk(key)})}));
  }
}

void Server::expire_if_due(const std::string& key) {
  keyspace_.set_now(surroundings_.now_us() / 1000);
  keyspace_.find(key);
}

void Server::forget_everything() {
  forget_scripts();
  tracked_.clear();
  keyspace_.clear();
}

void Server::take_over(const Keyspace& replica) {
  forget_everything();
  keyspace_.take_over(replica);
}

void Server::become_replica() {
  follow_master(true);
  keyspace_.obey_master();
}

void Server::replicate(const std::string& key, const std::optional<Keyspace::Entry>& entry) {
  if (entry) {
    keyspace_.set(key, *entry);
  } else {
    keyspace_.remove(key);
  }
}

void Server::relay(const std::string& channel, const std::string& message) {
  for (const auto& [connection, client] : clients_) {
    if (client.channels.contains(channel)) push(connection, message_on(channel, message));
  }
}

std::size_t Server::receivers(const std::string& channel) const {
  return static_cast<std::size_t>(std::count_if(
      clients_.begin(), clients_.end(), [&](const auto& client) { return client.second.channels.contains(channel); }));
}

// ---- commands -------------------------------------------------------------------------------------------------------

const std::map<std::string, Server::Command, std::less<>>& Server::commands() {
  static const std::map<std::string, Command, std::less<>> all{
      {"PING", {.arity = -1, .run = &Server::ping}},
      {"GET", {.arity = 2, .reads = true, .run = &Server::get}},
      {"SET", {.arity = -3, .writes = true, .needs_memory = true, .run = &Server::set}},
      {"DEL", {.arity = -2, .writes = true, .run = &Server::del}},
      {"EXISTS", {.arity = -2, .reads = true, .run = &Server::exists}},
      {"PEXPIRE", {.arity = -3, .writes = true, .run = &Server::pexpire}},
      {"PTTL", {.arity = 2, .reads = true, .run = &Server::pttl}},
      {"HGET", {.arity = 3, .reads = true, .run = &Server::hget}},
      {"HMGET", {.arity = -3, .reads = true, .run = &Server::hmget}},
      {"HSET", {.arity = -4, .writes = true, .needs_memory = true, .run = &Server::hset}},
      {"HDEL", {.arity = -3, .writes = true, .run = &Server::hdel}},
      {"HEXISTS", {.arity = 3, .reads = true, .run = &Server::hexists}},
      {"HLEN", {.arity = 2, .reads = true, .run = &Server::hlen}},
      {"TIME", {.arity = 1, .run = &Server::time}},
      {"PUBLISH", {.arity = 3, .run = &Server::publish}},
      {"PUBSUB", {.arity = -2, .run = &Server::pubsub}},
      {"SUBSCRIBE", {.arity = -2, .in_scripts = false, .run = &Server::subscribe}},
      {"CLIENT", {.arity = -2, .in_scripts = false, .run = &Server::client}},
      {"SCRIPT", {.arity = -2, .in_scripts = false, .run = &Server::script}},
      {"EVAL", {.arity = -3, .in_scripts = false, .run = &Server::eval}},
      {"EVALSHA", {.arity = -3, .in_scripts = false, .run = &Server::evalsha}},
      {"CONFIG", {.arity = 4, .in_scripts = false, .run = &Server::config}},
      {"REPLICAOF", {.arity = 3, .in_scripts = false, .run = &Server::replicaof}},
      {"FLUSHALL", {.arity = -1, .writes = true, .run = &Server::flushall}},
  };
  return all;
}

Value Server::complain(std::string text) {
  complaints_.push_back(text);
  return Value::error(std::move(text));
}

Value Server::perform(const Arguments& arguments, bool in_script) {
  const auto place = arguments.empty() ? commands().end() : commands().find(upper(arguments.front()));
  if (place == commands().end()) {
    return complain("ERR unknown command '" + (arguments.empty() ? std::string{} : arguments.front()) + "'");
  }
  const Command& command = place->second;
  const auto count = static_cast<int>(arguments.size());
  if (command.arity >= 0 ? count != command.arity : count < -command.arity) {
    return complain("ERR wrong number of arguments for '" + arguments.front() + "' command");
  }
  if (in_script && !command.in_scripts) return complain("ERR This Redis command is not allowed from script");
  if (std::string refusal = why_refused(command, in_script); !refusal.empty()) return Value::error(std::move(refusal));
  wrote_ = wrote_ || command.writes;
  Value answer = (this->*command.run)(arguments);
  // Afterwards: a key that expires while it is looked at is forgotten, and then remembered.
  if (command.reads) track(arguments, in_script);
  return answer;
}

/// What it is refused for; "" if it is not. A script that has begun to write may go on.
std::string Server::why_refused(const Command& command, bool in_script) const {
  if (in_script && wrote_) return {};
  if (follows_master_) return command.writes ? "READONLY You can't write against a read only replica." : "";
  if (full_ && command.needs_memory && (!in_script || refusal_.empty())) {
    return "OOM command not allowed when used memory > 'maxmemory'.";
  }
  return command.writes ? refusal_ : std::string{};
}

/// Remembers what the caller read, if it wants to be told when that changes.
void Server::track(const Arguments& arguments, bool in_script) {
  const Client& client = clients_[caller_];
  if (!client.tracking || !client.caching) return;
  if (in_script && conduct_.before_7_2) {
    for (const std::string& key : declared_) tracked_[key].insert(caller_);
  } else if (upper(arguments.front()) == "EXISTS") {
    for (std::size_t i = 1; i < arguments.size(); ++i) tracked_[arguments[i]].insert(caller_);
  } else {
    tracked_[arguments[1]].insert(caller_);
  }
}

Value Server::ping(const Arguments& /*arguments*/) { return Value::status("PONG"); }

// ---- time, channels, tracking ---------------------------------------------------------------------------------------

Value Server::time(const Arguments& /*arguments*/) {
  const std::int64_t now = surroundings_.now_us();
  return Value::array({Value::bulk(std::to_string(now / 1'000'000)), Value::bulk(std::to_string(now % 1'000'000))});
}

Value Server::publish(const Arguments& arguments) {
  if (conduct_.refuses_channels) return Value::error("NOPERM No permissions to access a channel");
  surroundings_.on_publish(arguments[1], arguments[2]);
  std::int64_t reached = 0;
  for (const auto& [connection, client] : clients_) {
    if (!client.channels.contains(arguments[1])) continue;
    ++reached;
    Value message = message_on(arguments[1], arguments[2]);
    if (connection == caller_ && conduct_.before_7_2) {
      before_reply_.push_back(std::move(message));
    } else {
      push(connection, std::move(message));
    }
  }
  return Value::number(reached);
}

Value Server::pubsub(const Arguments& arguments) {
  if (upper(arguments[1]) != "NUMSUB") {
    return complain("ERR unknown subcommand or wrong number of arguments for 'pubsub'");
  }
  if (conduct_.refuses_counting) return Value::error("NOPERM User has no permissions to run this command");
  Value counts = Value::array({});
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    counts.elements.push_back(Value::bulk(arguments[i]));
    counts.elements.push_back(Value::number(static_cast<std::int64_t>(receivers(arguments[i]))));
  }
  return counts;
}

Value Server::subscribe(const Arguments& arguments) {
  if (conduct_.refuses_channels) return Value::error("NOPERM No permissions to access a channel");
  Client& client = clients_[caller_];
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    client.channels.insert(arguments[i]);
    after_reply_.push_back(Value::push({Value::bulk("subscribe"), Value::bulk(arguments[i]),
                                        Value::number(static_cast<std::int64_t>(client.channels.size()))}));
  }
  no_reply_ = true;
  return Value::nil();
}

Value Server::client(const Arguments& arguments) {
  const std::string what = upper(arguments[1]);
  Client& client = clients_[caller_];
  if (what == "CACHING" && arguments.size() == 3 && upper(arguments[2]) == "YES") {
    if (!client.tracking) {
      return Value::error(
          "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
          "OPTOUT mode enabled");
    }
    client.caching = true;
    return Value::status("OK");
  }
  if (what == "TRACKING" && arguments.size() >= 4 && upper(arguments[2]) == "ON" && upper(arguments[3]) == "OPTIN" &&
      (arguments.size() == 4 || (arguments.size() == 5 && upper(arguments[4]) == "NOLOOP"))) {
    if (conduct_.refuses_tracking) return Value::error("NOPERM User has no permissions to run this command");
    client.tracking = true;
    client.noloop = arguments.size() == 5;
    return Value::status("OK");
  }
  return complain("ERR unknown subcommand or wrong number of arguments for 'client'");
}

// ---- scripts --------------------------------------------------------------------------------------------------------

Server::Scripts::iterator Server::keep(const std::string& source) {
  const std::string text = surroundings_.rewrite_script ? surroundings_.rewrite_script(source) : source;
  return scripts_.insert_or_assign(sha1(source), lua_.compile(text)).first;
}

Value Server::script(const Arguments& arguments) {
  const std::string what = upper(arguments[1]);
  if (what == "LOAD" && arguments.size() == 3) {
    return Value::bulk(keep(arguments[2])->first);
  }
  if (what == "FLUSH" && arguments.size() == 2) {
    forget_scripts();
    return Value::status("OK");
  }
  return complain("ERR unknown subcommand or wrong number of arguments for 'script'");
}

Value Server::eval(const Arguments& arguments) { return evaluate(keep(arguments[1])->second, arguments); }

Value Server::evalsha(const Arguments& arguments) {
  const auto place = scripts_.find(arguments[1]);
  if (place == scripts_.end()) return Value::error("NOSCRIPT No matching script. Please use EVAL.");
  return evaluate(place->second, arguments);
}

Value Server::evaluate(LuaHost::Script script, const Arguments& arguments) {
  const auto key_count = integer(arguments[2]);
  if (!key_count) return Value::error(not_an_integer);
  if (*key_count < 0) return Value::error("ERR Number of keys can't be negative");
  if (static_cast<std::size_t>(*key_count) > arguments.size() - 3) {
    return Value::error("ERR Number of keys can't be greater than number of args");
  }
  const auto keys_end = arguments.begin() + 3 + *key_count;
  declared_.assign(arguments.begin() + 3, keys_end);
  wrote_ = false;
  return lua_.run(script, declared_, {keys_end, arguments.end()},
                  [this](const Arguments& command) { return perform(command, true); });
}

/// A limit is one that is exceeded already, and replicas are too few.
Value Server::config(const Arguments& arguments) {
  const std::string what = upper(arguments[2]);
  const auto limit = integer(arguments[3]);
  if (upper(arguments[1]) != "SET" || !limit || (what != "MAXMEMORY" && what != "MIN-REPLICAS-TO-WRITE")) {
    return complain("ERR unknown subcommand or parameter for 'config'");
  }
  if (what == "MAXMEMORY") {
    full_ = *limit > 0;
  } else {
    refuse_writes(*limit > 0 ? "NOREPLICAS Not enough good replicas to write." : "");
  }
  return Value::status("OK");
}

/// Of a master that is not there: it keeps the keys that it has.
Value Server::replicaof(const Arguments& arguments) {
  follow_master(upper(arguments[1]) != "NO");
  return Value::status("OK");
}

Value Server::flushall(const Arguments& /*arguments*/) {
  tracked_.clear();
  keyspace_.clear();
  for (const auto& [connection, client] : clients_) {
    if (client.tracking) push(connection, Value::push({Value::bulk("invalidate"), Value::nil()}));
  }
  return Value::status("OK");
}

}  // namespace redismutex::sim
