#include "sim/server.hpp"

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "protocol/script.hpp"
#include "sim/random.hpp"
#include "sim/sha1.hpp"
#include "support/server.hpp"

// The simulated server is worth as much as it is like a real one: the same commands, drawn at random, get the same answers
// and the same pushes from both.
namespace redismutex::sim {
namespace {

using namespace std::chrono_literals;
using Command = std::vector<std::string>;

constexpr int connections = 3;

/// What one command led to: its answer, and what was pushed to each connection. In which order a connection gets its own
/// pushes and its answer is the server's business.
struct Effect {
  Value reply;
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

/// Which of two reasons for a refusal they name is their own business.
std::string first_word(const std::string& text) {
  const std::string word = text.substr(0, text.find(' '));
  return word == "NOREPLICAS" ? "OOM" : word;
}

bool alike(const Value& a, const Value& b) {
  if (a.kind != b.kind || a.elements.size() != b.elements.size() || !alike(a.integer, b.integer)) return false;
  const bool has_words = a.kind == Value::Kind::error || a.kind == Value::Kind::status;
  if (has_words ? first_word(a.text) != first_word(b.text) : a.text != b.text) return false;
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
  return id + ' ' + claim + (token.empty() || token == "0" ? token : " token");
}

/// In the messages of queue.lua.
void forget_times(std::vector<Value>& pushes) {
  for (Value& push : pushes) {
    if (push.elements.size() == 3 && push.elements[0].text == "message") {
      push.elements[2].text = without_times(push.elements[2].text);
    }
  }
}

// ---- the real one ---------------------------------------------------------------------------------------------------

Value from(const redisReply& reply) {
  const std::string text = reply.str == nullptr ? std::string{} : std::string{reply.str, reply.len};
  std::vector<Value> elements;
  for (std::size_t i = 0; i < reply.elements; ++i) elements.push_back(from(*reply.element[i]));
  switch (reply.type) {
    case REDIS_REPLY_INTEGER: return Value::number(reply.integer);
    case REDIS_REPLY_STRING: return Value::bulk(text);
    case REDIS_REPLY_STATUS: return Value::status(text);
    case REDIS_REPLY_ERROR: return Value::error(text);
    case REDIS_REPLY_ARRAY: return Value::array(std::move(elements));
    case REDIS_REPLY_PUSH: return Value::push(std::move(elements));
    default: return Value::nil();
  }
}

class RealConnection {
 public:
  explicit RealConnection(const std::string& path) : context_{redisConnectUnix(path.c_str())} {
    context_->privdata = this;
    redisSetPushCallback(context_.get(), [](void* self, void* reply) {
      static_cast<RealConnection*>(self)->pushes_.push_back(from(*static_cast<redisReply*>(reply)));
      freeReplyObject(reply);
    });
    command({"HELLO", "3"});
  }

  /// The PING behind it marks the end of what it leads to on this connection. `caching` is for this one command, so it goes
  /// right ahead of it.
  Value command(const Command& command, bool caching = false) {
    if (caching) append({"CLIENT", "CACHING", "YES"});
    append(command);
    append({"PING"});
    Value reply, next = read();
    while (next.text != "PONG") {
      reply = std::move(next);
      next = read();
    }
    return reply;
  }

  std::vector<Value> take_pushes() {
    append({"PING"});
    read();
    return std::exchange(pushes_, {});
  }

 private:
  void append(const Command& command) {
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const std::string& argument : command) {
      texts.push_back(argument.data());
      sizes.push_back(argument.size());
    }
    redisAppendCommandArgv(context_.get(), static_cast<int>(texts.size()), texts.data(), sizes.data());
  }

  Value read() {
    void* reply = nullptr;
    if (redisGetReply(context_.get(), &reply) != REDIS_OK) throw std::runtime_error{context_->errstr};
    Value value = from(*static_cast<redisReply*>(reply));
    freeReplyObject(reply);
    return value;
  }

  struct Free {
    void operator()(redisContext* context) const { redisFree(context); }
  };
  std::unique_ptr<redisContext, Free> context_;
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

  Effect on_real(int connection, const Command& command, bool caching) {
    Effect effect{.reply = real_[static_cast<std::size_t>(connection)]->command(command, caching), .pushes = {}};
    for (int i = 0; i < connections; ++i) effect.pushes[i] = real_[static_cast<std::size_t>(i)]->take_pushes();
    return effect;
  }

  Effect on_simulated(int connection, const Command& command, bool caching) {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    now_us_ = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
    effect_ = {};
    for (int i = 0; i < connections; ++i) effect_.pushes[i];
    if (caching) simulated_.execute(connection + 1, {"CLIENT", "CACHING", "YES"});
    effect_.reply = {};
    simulated_.execute(connection + 1, command);
    return effect_;
  }

 private:
  // Keys expire when they are looked at, not when the server finds the time.
  testing::Server server_{{.directives = {"enable-debug-command yes"}}};
  std::vector<std::unique_ptr<RealConnection>> real_;
  LuaHost lua_;
  std::int64_t now_us_ = 0;
  Effect effect_;
  Server simulated_{lua_,
                    {.before_7_2 = server_.version() < testing::Version{7, 2, 0}},
                    {.now_us = [this] { return now_us_; },
                     .deliver =
                         [this](Server::Connection connection, Value value) {
                           if (value.kind == Value::Kind::push) {
                             effect_.pushes[connection - 1].push_back(std::move(value));
                           } else {
                             effect_.reply = std::move(value);
                           }
                         }}};
};

// ---- what is asked --------------------------------------------------------------------------------------------------

/// As it ships, but for the short lease of a hand-over: nothing is to expire while the two servers look at their clocks.
struct ShippedScript {
  explicit ShippedScript(const protocol::Script* script) : name{script->name}, source{script->source} {
    constexpr std::string_view claim = "CLAIM_MS = 1000";
    if (const auto place = source.find(claim); place != std::string::npos) source.insert(place + claim.size(), "000");
    digest = sha1(source);
  }
  std::string_view name;
  std::string source;
  std::string digest;
};

class Questions {
 public:
  explicit Questions(std::uint64_t seed) : random_{seed} {}

  Command draw() {
    switch (random_.below(27)) {
      case 0: return {"GET", key()};
      case 1: return {"SET", key(), id()};
      case 2: return {"SET", key(), id(), "NX", "GET", "PX", "100000"};
      case 3: return {"SET", key(), id(), "NX", "PX", "100000"};
      case 4: return {"SET", key(), id(), "px", one_of({"1", "0", "-5", "x", "100000"})};
      case 5: return {"SET", key(), id(), one_of({"XX", "GET", "NX", "nonsense"})};
      case 6: return {"DEL", key(), key()};
      case 7: return {"EXISTS", key(), key()};
      case 8:
        return random_.chance(500'000)
                   ? Command{"PEXPIRE", key(), one_of({"100000", "50000", "0", "-1", "x"})}
                   : Command{"PEXPIRE", key(), one_of({longer(), "10", "-1"}), one_of({"GT", "gt", "nonsense"})};
      case 9: return {"PTTL", key()};
      case 10: return {"HSET", key(), field(), id(), field(), id()};
      case 11: return {"HSET", key(), field(), id(), field()};
      case 12: return {"HDEL", key(), field(), field()};
      case 13: return {"HGET", key(), field()};
      case 14: return {"HMGET", key(), field(), field()};
      case 15: return {one_of({"HEXISTS", "HGET"}), key(), field()};
      case 16: return {"HLEN", key()};
      case 17: return {"PUBLISH", channel(), "text"};
      case 18: return {"SUBSCRIBE", channel()};
      case 19: return {"CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"};
      case 20:
        if (random_.chance(400'000)) return {"CONFIG", "SET", "maxmemory", one_of({"0", "0", "1"})};
        return random_.chance(300'000)   ? Command{"SCRIPT", "FLUSH"}
               : random_.chance(100'000) ? Command{"FLUSHALL"}
                                         : Command{"GET", key(), key()};
      case 21:
        return random_.chance(500'000) ? Command{"PUBSUB", "NUMSUB", channel(), channel()}
                                       : Command{"PUBSUB", "NUMSUB", one_of({"nobody", "c0"})};
      case 22:
        if (random_.chance(500'000)) return {"CONFIG", "SET", "min-replicas-to-write", one_of({"0", "0", "0", "1"})};
        return random_.chance(750'000) ? Command{"REPLICAOF", "NO", "ONE"} : Command{"REPLICAOF", "127.0.0.1", "1"};
      case 23: return {"EVAL", one_of(snippets), "1", key(), id(), field()};
      default: return lock_script();
    }
  }

  int connection() { return static_cast<int>(random_.below(connections)); }
  bool chance(std::uint64_t per_million) { return random_.chance(per_million); }

 private:
  using Choice = std::vector<std::string>;
  inline static const Choice snippets{"return redis.call('SET', KEYS[1], ARGV[1])",
                                      "return redis.call('GET', KEYS[1])",
                                      "return {1, 2.9, 'three', {4}, false, 5}",
                                      "return redis.call('HGET', KEYS[1], ARGV[2]) == false",
                                      "return redis.pcall('GET', KEYS[1], 'two')",
                                      "return redis.call('HSET', KEYS[1], ARGV[2], 12345678901)",
                                      "return {redis.call('PTTL', KEYS[1]) > 0, redis.call('EXISTS', KEYS[1])}",
                                      "undeclared = 1",
                                      "return undeclared",
                                      "return redis.call('HMGET', KEYS[1], ARGV[2], 'f')",
                                      "local r = redis.pcall('HLEN', KEYS[1]) return type(r)",
                                      "return redis.call('PEXPIRE', KEYS[1], 2 * '30000')",
                                      "return redis.call('PUBLISH', 'c0', ARGV[1])",
                                      "return redis.call('SUBSCRIBE', 'c0')",
                                      "return redis.status_reply",
                                      "return {ok = 'fine'}",
                                      "return {err = 'My own'}",
                                      "return redis.call('DEL', false)",
                                      "return redis.call('PUBSUB', 'NUMSUB', 'c0', 'c1')",
                                      "redis.call('PUBLISH', 'c0', ARGV[1]) return redis.call('DEL', KEYS[1])",
                                      "return {redis.pcall('HDEL', KEYS[1], ''), redis.pcall('SET', KEYS[1], ARGV[1])}",
                                      "return {redis.pcall('SET', KEYS[1], ARGV[1]), redis.pcall('DEL', KEYS[1])}"};

  const std::string& one_of(const Choice& choice) { return choice[random_.below(choice.size())]; }
  std::string key() { return one_of({"k0", "k1", "redismutex:{k0}"}); }
  std::string id() { return one_of({"a", "b", "c", "d"}); }
  std::string field() { return one_of({"f", "g", "first"}); }
  std::string channel() { return one_of({"c0", "c1"}); }

  Command lock_script() {
    const ShippedScript& script = shipped_[random_.below(shipped_.size())];
    if (random_.chance(200'000)) return {"SCRIPT", "LOAD", script.source};
    if (script.name == "extend") return extension(script);
    Command command{"EVALSHA", script.digest, "2", "k0", "redismutex:{k0}", id()};
    if (script.name == "acquire") {
      command.insert(command.end(), {longer(), one_of({"c0", "c1", "-", "nobody"}), "100000", one_of({"0", "3", "100"}),
                                     one_of({"0", "1"})});
    }
    return command;
  }

  Command extension(const ShippedScript& script) {
    Command command{"EVALSHA", script.digest, "4", "k0", "redismutex:{k0}", "k1", "redismutex:{k1}"};
    command.push_back(one_of({"0", "1"}));
    for (int i = 0; i < 2; ++i) {
      command.insert(command.end(), {id(), one_of({"0", longer()}), one_of({"", "GT"}), token()});
    }
    return command;
  }
  /// A time to live above all before, so that it makes no difference that a real one has run down a little.
  std::string longer() { return std::to_string(200'000 + 1'000 * ++drawn_); }

  std::string token() { return one_of({"0", "5", "5000000000000000"}); }

  Random random_;
  int drawn_ = 0;
  const std::vector<ShippedScript> shipped_{protocol::scripts::all.begin(), protocol::scripts::all.end()};
};

/// Asks both, and keeps in mind what was asked, for the message.
class Comparison {
 public:
  explicit Comparison(std::uint64_t seed) : questions_{seed} {}

  void ask_something() {
    const Command command = questions_.draw();
    ask(questions_.connection(), command);
    if (command.size() < 5 || command[4] != "1") return;
    // What expires in a millisecond is waited for, and looked at: that is when a server notices.
    std::this_thread::sleep_for(3ms);
    ask(0, {"EXISTS", command[1]});
  }

 private:
  void ask(int connection, const Command& command) {
    // SUBSCRIBE has no answer that could be told from the one to CLIENT CACHING; and that outlasts another CLIENT.
    const bool caching = command.front() != "SUBSCRIBE" && command.front() != "CLIENT" && questions_.chance(500'000);
    note(connection, command, caching);
    Effect real = both_.on_real(connection, command, caching);
    Effect simulated = both_.on_simulated(connection, command, caching);
    expect_alike("answer", real.reply, simulated.reply);
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
