#include "sim/server.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "protocol/script.hpp"
#include "sim/arguments.hpp"
#include "sim/random.hpp"
#include "sim/sha1.hpp"
#include "support/resp_socket.hpp"
#include "support/server.hpp"

// The simulated server is worth as much as it is like a real one: the same commands, drawn at random, get the same answers
// and the same pushes from both.
namespace redismutex::sim {
namespace {

using namespace std::chrono_literals;
using Command = std::vector<std::string>;

constexpr int connections = 3;

/// What commands led to: their answers, and what was pushed to each connection. In which order a connection gets its own
/// pushes and its answers is the server's business.
struct Effect {
  std::vector<Value> replies;
  std::map<int, std::vector<Value>> pushes;
};

std::string shown(const Value& value) {
  std::string text = "(" + std::to_string(static_cast<int>(value.kind)) + ")" + value.text;
  if (value.kind == Value::Kind::integer) text += std::to_string(value.integer);
  for (const Value& element : value.elements) text += " " + shown(element);
  return text;
}

/// The two servers look at their clocks at slightly different times.
bool alike(std::int64_t a, std::int64_t b) {
  if (a > 1'000'000'000'000 && b > 1'000'000'000'000) return std::abs(a - b) < 5'000'000;
  // What is more than a hundred is a time to live: no count is.
  return a == b || (a > 100 && b > 100 && std::abs(a - b) < 5'000);
}

/// What kind of error it is: Redis 6 has that behind places in the script. Which of two reasons for a refusal they name is
/// their own business.
std::string code(std::string text) {
  const auto place = text.rfind("user_script:");
  if (place != std::string::npos && (text.starts_with("ERR Error running") || text.starts_with("@user_script"))) {
    text.erase(0, std::min(text.find_first_not_of("-0123456789: ", place + 12), text.size()));
  }
  const std::string word = text.substr(0, text.find(' '));
  if (word == "NOREPLICAS") return "OOM";
  return word == upper(word) ? word : "ERR";
}

/// The times of the server are also in scores, and in tokens.
bool alike_texts(const std::string& a, const std::string& b) {
  const bool are_times =
      a.size() == 16 && b.size() == 16 && (a + b).find_first_not_of("0123456789") == std::string::npos;
  return are_times ? alike(std::stoll(a), std::stoll(b)) : a == b;
}

bool alike(const Value& a, const Value& b) {
  if (a.kind != b.kind || a.elements.size() != b.elements.size() || !alike(a.integer, b.integer)) return false;
  if (a.kind == Value::Kind::error) return code(a.text) == code(b.text);
  // REPLICAOF says more than OK if there is nothing to do.
  if (a.kind == Value::Kind::status ? a.text.substr(0, 2) != b.text.substr(0, 2) : !alike_texts(a.text, b.text))
    return false;
  for (std::size_t i = 0; i < a.elements.size(); ++i) {
    if (!alike(a.elements[i], b.elements[i])) return false;
  }
  return true;
}

/// "id claim seconds microseconds token" without the server's time, and the token that is made of it.
std::string without_times(const std::string& message) {
  std::istringstream words{message};
  std::string id, claim, seconds, microseconds, token;
  words >> id >> claim >> seconds >> microseconds >> token;
  if (claim == "first") return id + ' ' + claim;
  return id + ' ' + claim + (token.empty() || token == "0" ? token : " token");
}

/// In the messages of line.lua.
void forget_times(std::vector<Value>& pushes) {
  for (Value& push : pushes) {
    if (push.elements.size() == 3 && push.elements[0].text.ends_with("message")) {
      push.elements[2].text = without_times(push.elements[2].text);
    }
  }
}

// ---- the real one ---------------------------------------------------------------------------------------------------

Value from(net::ReplyView reply) {
  using net::ReplyType;
  std::vector<Value> elements;
  for (const net::ReplyView element : reply) elements.push_back(from(element));
  std::string text{reply.text()};
  switch (reply.type()) {
    case ReplyType::integer: return Value::number(reply.integer());
    case ReplyType::bulk_string: return Value::bulk(std::move(text));
    case ReplyType::simple_string: return Value::status(std::move(text));
    case ReplyType::error: return Value::error(std::move(text));
    case ReplyType::array: return Value::array(std::move(elements));
    case ReplyType::real: return Value::real(std::move(text));
    case ReplyType::push: return Value::push(std::move(elements));
    default: return Value::nil();
  }
}

class RealConnection {
 public:
  explicit RealConnection(const std::string& path) : socket_{testing::RespSocket::to_unix(path)} {
    commands({{"HELLO", "3"}});
  }

  /// The PING behind them marks the end of what they lead to on this connection. `caching` is for the one command that
  /// follows, so it goes right ahead of it.
  std::vector<Value> commands(const std::vector<Command>& commands, bool caching = false) {
    if (caching) send({"CLIENT", "CACHING", "YES"});
    for (const Command& command : commands) send(command);
    send({"PING"});
    std::vector<Value> replies;
    for (Value next = read(); next.text != "PONG"; next = read()) replies.push_back(std::move(next));
    return replies;
  }

  std::vector<Value> take_pushes() {
    send({"PING"});
    read();
    return std::exchange(pushes_, {});
  }

 private:
  void send(const Command& command) { socket_.send(std::vector<std::string_view>(command.begin(), command.end())); }

  /// The next reply; keeps the pushes that come before it.
  Value read() {
    for (;;) {
      Value value = from(*socket_.receive());
      if (value.kind != Value::Kind::push) return value;
      pushes_.push_back(std::move(value));
    }
  }

  testing::RespSocket socket_;
  std::vector<Value> pushes_;
};

// ---- both -----------------------------------------------------------------------------------------------------------

class Both {
 public:
  Both() {
    server_.command({"DEBUG", "SET-ACTIVE-EXPIRE", "0"});
    for (int i = 0; i < connections; ++i) {
      real_.push_back(std::make_unique<RealConnection>(server_.socket_path()));
      simulated_.connect();
    }
  }

  Effect on_real(int connection, const std::vector<Command>& commands, bool caching) {
    Effect effect{.replies = real_[static_cast<std::size_t>(connection)]->commands(commands, caching), .pushes = {}};
    for (int i = 0; i < connections; ++i) effect.pushes[i] = real_[static_cast<std::size_t>(i)]->take_pushes();
    return effect;
  }

  Effect on_simulated(int connection, const std::vector<Command>& commands, bool caching) {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    now_us_ = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
    effect_ = {};
    for (int i = 0; i < connections; ++i) effect_.pushes[i];
    if (caching) simulated_.execute(connection + 1, {"CLIENT", "CACHING", "YES"});
    for (const Command& command : commands) simulated_.execute(connection + 1, command);
    return effect_;
  }

 private:
  static Server::Conduct conduct_of(testing::Server& server) {
    const testing::Version version = server.version();
    using Deletion = Server::Conduct::Deletion;
    const bool valkey = server.product() == "valkey";
    return {.before_7_2 = version < testing::Version{7, 2, 0},
            .before_7_0 = version < testing::Version{7, 0, 0},
            .deletion = valkey && version >= testing::Version{9, 0, 0}    ? Deletion::delifeq
                        : !valkey && version >= testing::Version{8, 4, 0} ? Deletion::delex
                                                                          : Deletion::none};
  }

  // Keys expire when they are looked at, not when the server finds the time.
  testing::Server server_{{.directives = {"enable-debug-command yes"}}};
  std::vector<std::unique_ptr<RealConnection>> real_;
  LuaHost lua_;
  std::int64_t now_us_ = 0;
  Effect effect_;
  Server simulated_{lua_,
                    conduct_of(server_),
                    {.now_us = [this] { return now_us_; },
                     .deliver =
                         [this](Server::Connection connection, Value value) {
                           if (value.kind == Value::Kind::push) {
                             effect_.pushes[connection - 1].push_back(std::move(value));
                           } else {
                             effect_.replies.push_back(std::move(value));
                           }
                         }}};
};

// ---- what is asked --------------------------------------------------------------------------------------------------

/// As it ships, but for the short lease of a hand-over: nothing is to expire while the two servers look at their clocks.
struct ShippedScript {
  explicit ShippedScript(const protocol::Script* script) : name{script->name}, source{script->source} {
    constexpr std::string_view claim = "'1000";
    if (const auto place = source.find(claim); place != std::string::npos) source.insert(place + claim.size(), "00");
    digest = sha1(source);
  }
  std::string_view name;
  std::string source;
  std::string digest;
};

bool is_short_lived(const Command& command) { return command.size() == 5 && command[4] == "1"; }

class Questions {
 public:
  explicit Questions(std::uint64_t seed) : random_{seed} {}

  Command draw() {
    switch (random_.below(10)) {
      case 0: return draw_about_channels();
      case 1: return draw_about_the_server();
      case 2: return {"EVAL", one_of(snippets), "1", key(), id(), field()};
      case 3:
      case 4: return lock_script();
      default: return draw_about_data();
    }
  }

  /// Between MULTI and EXEC.
  std::vector<Command> draw_transaction() {
    std::vector<Command> commands{{"MULTI"}};
    for (auto count = random_.below(4); count > 0; --count) {
      Command command = random_.chance(50'000) ? Command{"NONSENSE"} : draw_about_data();
      if (!is_short_lived(command)) commands.push_back(std::move(command));
    }
    commands.push_back({random_.chance(50'000) ? "DISCARD" : "EXEC"});
    return commands;
  }

  int connection() { return static_cast<int>(random_.below(connections)); }
  bool chance(std::uint64_t per_million) { return random_.chance(per_million); }

 private:
  using Choice = std::vector<std::string>;
  inline static const Choice snippets{
      "return redis.call('SET', KEYS[1], ARGV[1])",
      "return redis.call('GET', KEYS[1])",
      "return {1, 2.9, 'three', {4}, false, 5}",
      "return redis.call('ZSCORE', KEYS[1], ARGV[2]) == false",
      "return redis.pcall('GET', KEYS[1], 'two')",
      "return redis.call('ZADD', KEYS[1], 12345678901, ARGV[2])",
      "return {redis.call('PTTL', KEYS[1]) > 0, redis.call('EXISTS', KEYS[1])}",
      "undeclared = 1",
      "return undeclared",
      "return redis.call('PSETEX', KEYS[1], '60000', ARGV[2])",
      "local r = redis.pcall('ZCARD', KEYS[1]) return type(r)",
      "return redis.call('PEXPIRE', KEYS[1], 2 * '30000')",
      "return redis.call('PUBLISH', 'c0', ARGV[1])",
      "return redis.call('SUBSCRIBE', 'c0')",
      "return redis.status_reply",
      "return {ok = 'fine'}",
      "return {err = 'My own'}",
      "return redis.call('DEL', false)",
      "return redis.call('PUBSUB', 'NUMSUB', 'c0', 'c1')",
      "return redis.call('SPUBLISH', 'c0', ARGV[1])",
      "return type(redis.pcall('PUBSUB', 'SHARDNUMSUB', 'c0')[2])",
      "return redis.call('ZRANGE', KEYS[1], '0', '-1', 'WITHSCORES')",
      "return redis.call('ZRANGE', KEYS[1], 0, 1)",
      "return redis.call('ZSCORE', KEYS[1], ARGV[1])",
      "return type(redis.call('ZSCORE', KEYS[1], ARGV[1]))",
      "return string.find(redis.pcall('ZRANGE', KEYS[1], 0, 1).err or '', 'WRONGTYPE', 1, true)",
      "return redis.call('ZADD', KEYS[1], 5795864359197523, ARGV[1], '7', 'b')",
      "return redis.call('ZCOUNT', KEYS[1], 4000000000000000 + 1795864359197523, '+inf')",
      "return redis.call('UNLINK', KEYS[1])",
      "redis.call('PUBLISH', 'c0', ARGV[1]) return redis.call('DEL', KEYS[1])",
      "return {redis.pcall('ZREM', KEYS[1], ''), redis.pcall('SET', KEYS[1], ARGV[1])}",
      "return {redis.pcall('SET', KEYS[1], ARGV[1]), redis.pcall('DEL', KEYS[1])}"};

  const std::string& one_of(const Choice& choice) { return choice[random_.below(choice.size())]; }
  std::string key() { return one_of({"k0", "k1", "redismutex:{k0}", "redismutex:floor:{k0}"}); }
  std::string id() { return "01234567-89ab-4def-8123-45678901234" + one_of({"a", "b", "c", "d"}); }
  std::string field() { return one_of({"f", "g", "first"}); }
  std::string score() {
    return one_of({"1", "2.5", "-3", "1e3", "inf", "-inf", "4000000000000005", "5795864359197523", "x", "nan"});
  }
  std::string bound() {
    return one_of({"1", "(1", "(-3", "-inf", "+inf", "(4000000000000000", "5795864359197523", "x", "2.5", "(inf"});
  }
  std::string rank() { return one_of({"0", "1", "2", "-1", "-2", "5", "x"}); }
  std::string channel() { return one_of({"c0", "c1"}); }

  Command draw_about_data() { return random_.chance(500'000) ? draw_about_sorted_sets() : draw_about_strings(); }

  Command draw_about_strings() {
    switch (random_.below(14)) {
      case 0: return {"GET", key()};
      case 1: return {"SET", key(), id()};
      case 2: return {"SET", key(), id(), "NX", "GET", "PX", "100000"};
      case 3: return {"SET", key(), id(), "NX", "PX", "100000"};
      case 4: return {"SET", key(), id(), "px", one_of({"1", "0", "-5", "x", "100000"})};
      case 5: return {"SET", key(), id(), one_of({"XX", "GET", "NX", "nonsense"})};
      case 6: return {one_of({"DEL", "UNLINK"}), key(), key()};
      case 7: return {"EXISTS", key(), key()};
      case 8: return {"PEXPIRE", key(), one_of({"100000", "50000", "0", "-1", "x"})};
      case 9: return {"PEXPIRE", key(), one_of({longer(), "10", "-1"}), one_of({"GT", "gt", "nonsense"})};
      case 10: return {"PTTL", key()};
      case 11: return {"PSETEX", key(), one_of({"100000", "50000", "0", "-1", "x"}), id()};
      case 12: return {"DELIFEQ", key(), id()};
      default: return {"DELEX", key(), "IFEQ", id()};
    }
  }

  Command draw_about_sorted_sets() {
    switch (random_.below(10)) {
      case 0: return {"ZADD", key(), score(), id()};
      case 1: return {"ZADD", key(), score(), id(), score(), id(), score(), id()};
      case 2: return {"ZADD", key(), score(), id(), score()};
      case 3: return {"ZREM", key(), id(), id()};
      case 4: return {"ZSCORE", key(), id()};
      case 5: return {"ZRANGE", key(), rank(), rank()};
      case 6: return {"ZRANGE", key(), rank(), rank(), "withscores"};
      case 7:
        return random_.chance(300'000)
                   ? Command{"ZRANGEBYSCORE", key(), bound(), bound()}
                   : Command{"ZRANGEBYSCORE", key(), bound(), bound(), "LIMIT", one_of({"0", "1", "-1"}), rank()};
      case 8: return {"ZCOUNT", key(), bound(), bound()};
      default: return {"ZCARD", key()};
    }
  }

  Command draw_about_channels() {
    switch (random_.below(6)) {
      case 0: return {"PUBLISH", channel(), "text"};
      case 1: return {"SUBSCRIBE", channel()};
      case 2: return {"SPUBLISH", channel(), "text"};
      case 3: return {"SSUBSCRIBE", channel()};
      case 4: return {"PUBSUB", one_of({"NUMSUB", "SHARDNUMSUB"}), channel(), channel()};
      default: return {"PUBSUB", one_of({"NUMSUB", "SHARDNUMSUB"}), one_of({"nobody", "c0"})};
    }
  }

  Command draw_about_the_server() {
    switch (random_.below(7)) {
      case 0:
      case 1: return {"CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"};
      case 2: return {"CONFIG", "SET", "maxmemory", one_of({"0", "0", "1"})};
      case 3: return {"CONFIG", "SET", "min-replicas-to-write", one_of({"0", "0", "0", "1"})};
      case 4:
        return random_.chance(750'000) ? Command{"REPLICAOF", "NO", "ONE"} : Command{"REPLICAOF", "127.0.0.1", "1"};
      case 5: return random_.chance(300'000) ? Command{"FLUSHALL"} : Command{"SCRIPT", "FLUSH"};
      default: return {"GET", key(), key()};
    }
  }

  Command lock_script() {
    const ShippedScript& script = shipped_[random_.below(shipped_.size())];
    if (random_.chance(200'000)) return {"SCRIPT", "LOAD", script.source};
    if (script.name == "extend") return extension(script);
    if (script.name == "refresh") return renewal(script);
    Command command{"EVALSHA", script.digest, "3", "k0", "redismutex:{k0}", "redismutex:floor:{k0}", id()};
    if (script.name == "acquire") {
      command.insert(command.end(), {longer(), details(), "100000", one_of({"0", "3", "100"}),
                                     one_of({"", "", "0sc0", "1sc1"}), one_of({"", "", "5"})});
      if (random_.chance(300'000)) command.push_back(one_of({"", "1"}));
    } else {
      command.insert(command.end(), {one_of({"", "5", "5000000000000000"}), one_of({"", details()})});
    }
    return command;
  }

  Command extension(const ShippedScript& script) {
    Command command{"EVALSHA", script.digest, "4", "k0", "redismutex:{k0}", "k1", "redismutex:{k1}"};
    command.push_back(one_of({"0", "1"}));
    for (int i = 0; i < 2; ++i) command.insert(command.end(), {id(), one_of({"0", longer()}), one_of({"0", "1"})});
    return command;
  }

  Command renewal(const ShippedScript& script) {
    Command command{"EVALSHA", script.digest, "4", "k0", "redismutex:{k0}", "k1", key(), "100000"};
    for (int i = 0; i < 2; ++i) command.insert(command.end(), {id(), details()});
    return command;
  }

  /// Of a place in line: a newer version's, too.
  std::string details() {
    return one_of(
        {"0-", "0pc0", "0sc0", "1sc1", "2pc0", "3sc0", "0pnobody", "450000 -", "5100000 pc1", "8new", "0x", ""});
  }

  /// A time to live above all before, so that it makes no difference that a real one has run down a little.
  std::string longer() { return std::to_string(200'000 + 1'000 * ++drawn_); }

  Random random_;
  int drawn_ = 0;
  const std::vector<ShippedScript> shipped_{protocol::scripts::all.begin(), protocol::scripts::all.end()};
};

/// Asks both, and keeps in mind what was asked, for the message.
class Comparison {
 public:
  explicit Comparison(std::uint64_t seed) : questions_{seed} {}

  void ask_something() {
    const auto commands =
        questions_.chance(50'000) ? questions_.draw_transaction() : std::vector<Command>{questions_.draw()};
    // CACHING outlasts another CLIENT.
    const bool caching = commands.front().front() != "CLIENT" && questions_.chance(500'000);
    ask(questions_.connection(), commands, caching);
    if (!is_short_lived(commands.front())) return;
    // What expires in a millisecond is waited for, and looked at: that is when a server notices.
    std::this_thread::sleep_for(3ms);
    ask(0, {{"EXISTS", commands.front()[1]}}, false);
  }

 private:
  void ask(int connection, const std::vector<Command>& commands, bool caching) {
    for (const Command& command : commands) note(connection, command, caching);
    Effect real = both_.on_real(connection, commands, caching);
    Effect simulated = both_.on_simulated(connection, commands, caching);
    expect_alike("answers", Value::array(real.replies), Value::array(simulated.replies));
    for (int i = 0; i < connections; ++i) {
      forget_times(real.pushes[i]);
      forget_times(simulated.pushes[i]);
      expect_alike("pushes to " + std::to_string(i), Value::push(real.pushes[i]), Value::push(simulated.pushes[i]));
    }
  }

  void note(int connection, const Command& command, bool caching) {
    std::string text = std::to_string(connection) + (caching ? " (caching)" : "");
    for (const std::string& argument : command) text += " " + argument.substr(0, 60);
    asked_.push_back(std::move(text));
  }

  void expect_alike(const std::string& what, const Value& real, const Value& simulated) const {
    EXPECT_TRUE(alike(real, simulated)) << what << "\n real:      " << shown(real)
                                        << "\n simulated: " << shown(simulated) << "\nafter\n"
                                        << last_asked();
  }

  std::string last_asked() const {
    std::string text;
    for (std::size_t i = asked_.size() - std::min<std::size_t>(asked_.size(), 40); i < asked_.size(); ++i) {
      text += "  " + asked_[i] + "\n";
    }
    return text;
  }

  Both both_;
  Questions questions_;
  std::vector<std::string> asked_;
};

// Whatever is asked, in whatever order.
TEST(SimulatedServer, AnswersAsARealOneDoes) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Comparison comparison{seed};
  for (int i = 0; i < 10'000 && !::testing::Test::HasFailure(); ++i) comparison.ask_something();
}

TEST(SimulatedServer, KnowsAScriptByItsDigest) {
  for (const protocol::Script* script : protocol::scripts::all) EXPECT_EQ(sha1(script->source), script->sha1);
}

}  // namespace
}  // namespace redismutex::sim
