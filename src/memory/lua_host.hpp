#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "memory/value.hpp"

struct lua_State;

namespace redismutex::memory {

/// Runs scripts as a Redis server does: Lua 5.1 with redis.call and redis.pcall, no globals but KEYS and ARGV, and the
/// server's conversions between its values and Lua's.
class LuaHost {
 public:
  /// What redis.call does: a command and its answer.
  using Call = std::function<Value(const std::vector<std::string>& arguments)>;

  LuaHost();
  ~LuaHost();
  LuaHost(const LuaHost&) = delete;
  LuaHost& operator=(const LuaHost&) = delete;

  /// A script, for run(); the same one for the same source.
  using Script = int;
  Script compile(const std::string& source);

  /// The script's answer; an error if it raised one.
  Value run(Script script, const std::vector<std::string>& keys, const std::vector<std::string>& arguments,
            const Call& call);

  /// Whether the last script ended with an error that it raised, not one that it returned.
  bool raised() const noexcept { return raised_; }

 private:
  static int call_or_raise(lua_State* lua);
  static int call_protected(lua_State* lua);
  static LuaHost& host(lua_State* lua);
  void perform(lua_State* lua) const;

  struct Close {
    void operator()(lua_State* lua) const;
  };
  std::unique_ptr<lua_State, Close> lua_;
  std::map<std::string, Script> compiled_;  // by source: the function's place in Lua's registry
  const Call* call_ = nullptr;
  bool raised_ = false;
};

}  // namespace redismutex::memory
