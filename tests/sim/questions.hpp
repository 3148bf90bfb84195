#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "memory/sha1.hpp"
#include "protocol/script.hpp"
#include "sim/random.hpp"
#include "sim/sides.hpp"

namespace redismutex::sim {

/// As it ships, but for the short lease of a hand-over: nothing is to expire while the two servers look at their clocks.
struct ShippedScript {
  explicit ShippedScript(const protocol::Script* script) : name{script->name}, source{script->source} {
    put("'1000", "'100000");
    // The server's time is not compared, and a time to live is where it is a number.
    put("local replies = {time[1], time[2]}", "local replies = {}");
    put("add(tostring(redis.call('PTTL', key)))", "add(redis.call('PTTL', key))");
    digest = memory::sha1(source);
  }

  std::string_view name;
  std::string source;
  std::string digest;

 private:
  void put(std::string_view present, std::string_view wanted) {
    if (const auto place = source.find(present); place != std::string::npos) {
      source.replace(place, present.size(), wanted);
    }
  }
};

inline bool is_short_lived(const Command& command) { return command.size() == 5 && command[4] == "1"; }

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

  int connection() { return static_cast<int>(random_.below(Side::connections)); }
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
    switch (random_.below(17)) {
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
      case 13: return {"GETRANGE", key(), rank(), rank()};
      case 14: return {"STRLEN", key()};
      case 15: return {"TYPE", key()};
      default: return {"DELEX", key(), "IFEQ", id()};
    }
  }

  Command draw_about_sorted_sets() {
    switch (random_.below(11)) {
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
      case 9: return {"ZRANGEBYSCORE", key(), bound(), bound(), "withscores", "LIMIT", one_of({"0", "1"}), rank()};
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
    switch (random_.below(10)) {
      case 0:
      case 1: return {"CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"};
      case 2: return {"CONFIG", "SET", "maxmemory", one_of({"0", "0", "1"})};
      case 3: return {"CONFIG", "SET", "min-replicas-to-write", one_of({"0", "0", "0", "1"})};
      case 4:
        return random_.chance(750'000) ? Command{"REPLICAOF", "NO", "ONE"} : Command{"REPLICAOF", "127.0.0.1", "1"};
      case 5: return random_.chance(300'000) ? Command{"FLUSHALL"} : Command{"SCRIPT", "FLUSH"};
      case 6: return {"HELLO", "4"};
      case 7: return {"CLIENT", "SETINFO", "LIB-NAME", "redismutex"};
      case 8: return {"SCAN", "0", one_of({"MATCH", "COUNT", "TYPE", "nonsense"})};
      default: return {"GET", key(), key()};
    }
  }

  Command lock_script() {
    const ShippedScript& script = shipped_[random_.below(shipped_.size())];
    if (random_.chance(200'000)) return {"SCRIPT", "LOAD", script.source};
    if (script.name == "extend") return extension(script);
    if (script.name == "refresh") return renewal(script);
    if (script.name == "inspect") return inspection(script);
    if (script.name == "raise") {
      return {"EVALSHA", script.digest, "1", key(), one_of({"5", "5795864359197523"}), "100000"};
    }
    if (script.name == "witness") return {"EVALSHA", script.digest, "3", "k0", "k1", key(), id(), id()};
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

  Command inspection(const ShippedScript& script) {
    return {"EVALSHA",          script.digest,           "4",  "k0",
            "redismutex:{k0}",  "redismutex:floor:{k0}", "k1", one_of({"0", "1", "5"}),
            one_of({"0", "1"}), one_of({"0", "1"})};
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
  const std::vector<ShippedScript> shipped_{
      ShippedScript{&protocol::scripts::acquire}, ShippedScript{&protocol::scripts::extend},
      ShippedScript{&protocol::scripts::inspect}, ShippedScript{&protocol::scripts::raise},
      ShippedScript{&protocol::scripts::refresh}, ShippedScript{&protocol::scripts::release},
      ShippedScript{&protocol::scripts::witness}};
};

}  // namespace redismutex::sim
