#include "memory/server.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "memory/arguments.hpp"
#include "memory/sha1.hpp"

namespace redismutex::memory {
Server::Server(LuaHost& lua, Conduct conduct, Surroundings surroundings)
    : lua_{lua},
      conduct_{conduct},
      surroundings_{std::move(surroundings)},
      keyspace_{[this](const std::string& key) { notice_change(key); }},
      next_connection_{conduct.first_connection},
      started_at_us_{surroundings_.now_us()} {}

// ---- connections ----------------------------------------------------------------------------------------------------

void Server::disconnect(Connection connection) {
  clients_.erase(connection);
  for (auto& entry : tracked_) entry.second.erase(connection);
}

void Server::execute(Connection connection, const Arguments& command) {
  caller_ = connection;
  no_reply_ = false;
  keyspace_.set_now(surroundings_.now_us() / 1000);
  Client& client = clients_[connection];
  Value reply = client.queues ? queue(command) : perform(command, false);
  if (!client.queues && (command.empty() || upper(command.front()) != "CLIENT")) client.caching = false;
  caller_ = 0;
  in_script_ = false;
  for (Value& value : std::exchange(before_reply_, {})) surroundings_.deliver(connection, std::move(value));
  if (!no_reply_) surroundings_.deliver(connection, std::move(reply));
  for (Value& value : std::exchange(after_reply_, {})) surroundings_.deliver(connection, std::move(value));
}

void Server::push(Connection connection, Value value) {
  if (connection != caller_) return surroundings_.deliver(connection, std::move(value));
  (conduct_.before_7_0 ? before_reply_ : after_reply_).push_back(std::move(value));
}

/// With NOLOOP, no client is told of what its own command did; that is so for a key that expires while it is looked at, too.
void Server::notice_change(const std::string& key) {
  surroundings_.on_change(key);
  const auto place = tracked_.find(key);
  if (place == tracked_.end()) return;
  const auto told = std::move(place->second);
  tracked_.erase(place);
  const bool forgets_caller = in_script_ && conduct_.before_7_0;
  for (const Connection connection : told) {
    if (connection == caller_ && clients_[connection].noloop && !forgets_caller) continue;
    push(connection, Value::push({Value::bulk("invalidate"), Value::array({Value::bulk(key)})}));
  }
}

void Server::expire_if_due(const std::string& key) {
  keyspace_.set_now(surroundings_.now_us() / 1000);
  keyspace_.find(key);
}

bool Server::end(const std::string& key) {
  keyspace_.set_now(surroundings_.now_us() / 1000);
  return keyspace_.erase(key);
}

void Server::forget_everything() {
  forget_scripts();
  tracked_.clear();
  keyspace_.clear();
  started_at_us_ = surroundings_.now_us();
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

// ---- commands -------------------------------------------------------------------------------------------------------

const std::map<std::string, Server::Command, std::less<>>& Server::commands() {
  static const std::map<std::string, Command, std::less<>> all{
      {"PING", {.arity = -1, .run = &Server::ping}},
      {"GET", {.arity = 2, .reads = true, .run = &Server::get}},
      {"SET", {.arity = -3, .writes = true, .needs_memory = true, .run = &Server::set}},
      {"PSETEX", {.arity = 4, .writes = true, .needs_memory = true, .run = &Server::psetex}},
      {"DEL", {.arity = -2, .writes = true, .run = &Server::del}},
      {"UNLINK", {.arity = -2, .writes = true, .run = &Server::del}},
      {"DELIFEQ", {.arity = 3, .writes = true, .only_with = Conduct::Deletion::delifeq, .run = &Server::delifeq}},
      {"DELEX", {.arity = -2, .writes = true, .only_with = Conduct::Deletion::delex, .run = &Server::delex}},
      {"EXISTS", {.arity = -2, .reads = true, .run = &Server::exists}},
      {"GETRANGE", {.arity = 4, .reads = true, .run = &Server::getrange}},
      {"STRLEN", {.arity = 2, .reads = true, .run = &Server::strlen}},
      {"TYPE", {.arity = 2, .reads = true, .run = &Server::type}},
      {"SCAN", {.arity = -2, .run = &Server::scan}},
      {"DBSIZE", {.arity = 1, .run = &Server::dbsize}},
      {"PEXPIRE", {.arity = -3, .writes = true, .run = &Server::pexpire}},
      {"PTTL", {.arity = 2, .reads = true, .run = &Server::pttl}},
      {"ZADD", {.arity = -4, .writes = true, .needs_memory = true, .run = &Server::zadd}},
      {"ZREM", {.arity = -3, .writes = true, .run = &Server::zrem}},
      {"ZSCORE", {.arity = 3, .reads = true, .run = &Server::zscore}},
      {"ZRANGE", {.arity = -4, .reads = true, .run = &Server::zrange}},
      {"ZRANGEBYSCORE", {.arity = -4, .reads = true, .run = &Server::zrangebyscore}},
      {"ZCOUNT", {.arity = 4, .reads = true, .run = &Server::zcount}},
      {"ZCARD", {.arity = 2, .reads = true, .run = &Server::zcard}},
      {"TIME", {.arity = 1, .run = &Server::time}},
      {"PUBLISH", {.arity = 3, .run = &Server::publish}},
      {"SPUBLISH", {.arity = 3, .since_7_0 = true, .run = &Server::spublish}},
      {"PUBSUB", {.arity = -2, .run = &Server::pubsub}},
      {"SUBSCRIBE", {.arity = -2, .in_scripts = false, .run = &Server::subscribe}},
      {"SSUBSCRIBE", {.arity = -2, .in_scripts = false, .since_7_0 = true, .run = &Server::ssubscribe}},
      {"HELLO", {.arity = -1, .in_scripts = false, .run = &Server::hello}},
      {"INFO", {.arity = -1, .run = &Server::info}},
      {"WAIT", {.arity = 3, .in_scripts = false, .run = &Server::wait}},
      {"CLIENT", {.arity = -2, .in_scripts = false, .run = &Server::client}},
      {"MULTI", {.arity = 1, .in_scripts = false, .run = &Server::multi}},
      {"EXEC", {.arity = 1, .in_scripts = false, .run = &Server::exec}},
      {"DISCARD", {.arity = 1, .in_scripts = false, .run = &Server::discard}},
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

const Server::Command* Server::look_up(const Arguments& arguments, bool in_script, Value& error) {
  auto place = arguments.empty() ? commands().end() : commands().find(arguments.front());
  if (place == commands().end() && !arguments.empty()) place = commands().find(upper(arguments.front()));
  if (place == commands().end()) {
    error = complain("ERR unknown command '" + (arguments.empty() ? std::string{} : arguments.front()) + "'");
    return nullptr;
  }
  const Command& command = place->second;
  const auto count = static_cast<int>(arguments.size());
  const bool is_too_new = command.since_7_0 && conduct_.before_7_0;
  if (is_too_new || (command.only_with != Conduct::Deletion::none && command.only_with != conduct_.deletion)) {
    error = Value::error("ERR unknown command '" + arguments.front() + "'");  // clients have to try
  } else if ((command.arity >= 0 ? count != command.arity : count < -command.arity) ||
             (conduct_.before_7_0 && command.run == &Server::pexpire && count > 3)) {
    error = complain("ERR wrong number of arguments for '" + arguments.front() + "' command");
  } else if (in_script && !command.in_scripts) {
    error = complain("ERR This Redis command is not allowed from script");
  } else if (std::string refusal = why_refused(command, in_script); !refusal.empty()) {
    error = Value::error((in_script && conduct_.before_7_0 ? "@user_script: 1: -" : "") + refusal);
  } else {
    return &command;
  }
  return nullptr;
}

Value Server::perform(const Arguments& arguments, bool in_script) {
  Value error;
  const Command* command = look_up(arguments, in_script, error);
  return command == nullptr ? error : carry_out(*command, arguments, in_script);
}

Value Server::carry_out(const Command& command, const Arguments& arguments, bool in_script) {
  wrote_ = wrote_ || command.writes;
  in_script_ = in_script;
  Value answer = (this->*command.run)(arguments);
  // Afterwards: a key that expires while it is looked at is forgotten, and then remembered.
  if (command.reads) track(arguments, in_script);
  return answer;
}

/// What it is refused for; "" if it is not. A script that has begun to write may go on.
std::string Server::why_refused(const Command& command, bool in_script) const {
  constexpr const char* full = "OOM command not allowed when used memory > 'maxmemory'.";
  if (in_script && wrote_) return {};
  if (follows_master_) return command.writes ? "READONLY You can't write against a read only replica." : "";
  if (!in_script && full_ && command.needs_memory) return full;
  if (command.writes && !refusal_.empty() &&
      !(in_script && conduct_.before_7_0 && refusal_.starts_with("NOREPLICAS"))) {
    return refusal_;
  }
  return full_ && command.needs_memory ? full : "";
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

Value Server::time(const Arguments& /*arguments*/) {
  const std::int64_t now = surroundings_.now_us();
  return Value::array({Value::bulk(std::to_string(now / 1'000'000)), Value::bulk(std::to_string(now % 1'000'000))});
}

// ---- transactions ---------------------------------------------------------------------------------------------------

Value Server::multi(const Arguments& /*arguments*/) {
  Client& client = clients_[caller_];
  if (client.queues) return complain("ERR MULTI calls can not be nested");
  client.queues = true;
  return Value::status("OK");
}

Value Server::queue(const Arguments& arguments) {
  const std::string name = arguments.empty() ? "" : upper(arguments.front());
  if (name == "MULTI" || name == "EXEC" || name == "DISCARD") return perform(arguments, false);
  Client& client = clients_[caller_];
  Value error;
  const Command* command = look_up(arguments, false, error);
  if (command != nullptr && full_ && !follows_master_ && conduct_.before_7_2) {
    // Even one that needs no memory: the queue would.
    error = Value::error("OOM command not allowed when used memory > 'maxmemory'.");
    command = nullptr;
  }
  if (command == nullptr) {
    client.queues_in_vain = true;
    return error;
  }
  client.queue.push_back(arguments);
  return Value::status("QUEUED");
}

Value Server::exec(const Arguments& /*arguments*/) {
  Client& client = clients_[caller_];
  if (!client.queues) return complain("ERR EXEC without MULTI");
  const std::vector<Arguments> queued = std::move(client.queue);
  client.queue.clear();
  client.queues = false;
  if (std::exchange(client.queues_in_vain, false)) {
    return Value::error("EXECABORT Transaction discarded because of previous errors.");
  }
  for (const Arguments& arguments : queued) {
    const std::string refusal = why_refused(commands().find(upper(arguments.front()))->second, false);
    if (!refusal.empty()) return Value::error("EXECABORT Transaction discarded because of: " + refusal);
  }
  Value replies = Value::array({});
  for (const Arguments& arguments : queued) {
    replies.elements.push_back(carry_out(commands().find(upper(arguments.front()))->second, arguments, false));
  }
  return replies;
}

Value Server::discard(const Arguments& /*arguments*/) {
  Client& client = clients_[caller_];
  if (!client.queues) return complain("ERR DISCARD without MULTI");
  client.queues = client.queues_in_vain = false;
  client.queue.clear();
  return Value::status("OK");
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
  Value answer = lua_.run(script, declared_, {keys_end, arguments.end()},
                          [this](const Arguments& command) { return perform(command, true); });
  if (answer.kind == Value::Kind::error && conduct_.before_7_0 && lua_.raised()) {
    const std::string_view raised = answer.text;
    const std::string said{raised.starts_with("ERR @") ? raised.substr(4) : raised};
    answer.text = "ERR Error running script (call to f_0123456789): @user_script:1: " + said;
  }
  return answer;
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

}  // namespace redismutex::memory
