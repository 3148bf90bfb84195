#include "memory/lua_host.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <stdexcept>

#include "memory/arguments.hpp"

extern "C" {
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
}

namespace redismutex::memory {
namespace {

// Scripts may not make globals, and may not read any that do not exist: what they forget to declare is found.
constexpr const char* prelude = R"(
setmetatable(_G, {
  __newindex = function(_, name) error('Script attempted to create global variable ' .. tostring(name), 2) end,
  __index = function(_, name) error('Script attempted to access nonexistent global variable ' .. tostring(name), 2) end
}))";

void push_text(lua_State* lua, const std::string& text) { lua_pushlstring(lua, text.data(), text.size()); }

std::string text_at(lua_State* lua, int index) {
  std::size_t size = 0;
  const char* text = lua_tolstring(lua, index, &size);
  return text == nullptr ? std::string{} : std::string{text, size};
}

void push_field(lua_State* lua, const char* name, const std::string& text) {
  lua_newtable(lua);
  push_text(lua, text);
  lua_setfield(lua, -2, name);
}

/// Source: Redis, "Scripting with Lua", "Data type conversion".
void push_value(lua_State* lua, const Value& value) {
  switch (value.kind) {
    case Value::Kind::nil: lua_pushboolean(lua, 0); break;
    case Value::Kind::integer: lua_pushnumber(lua, static_cast<lua_Number>(value.integer)); break;
    case Value::Kind::bulk: push_text(lua, value.text); break;
    case Value::Kind::status: push_field(lua, "ok", value.text); break;
    case Value::Kind::error: push_field(lua, "err", value.text); break;
    default:
      lua_newtable(lua);
      for (std::size_t i = 0; i < value.elements.size(); ++i) {
        push_value(lua, value.elements[i]);
        lua_rawseti(lua, -2, static_cast<int>(i + 1));
      }
  }
}

bool has_field(lua_State* lua, int table, const char* name, std::string& text) {
  lua_pushstring(lua, name);
  lua_rawget(lua, table);
  const bool found = lua_type(lua, -1) == LUA_TSTRING;
  if (found) text = text_at(lua, -1);
  lua_pop(lua, 1);
  return found;
}

Value value_at(lua_State* lua, int index) {
  switch (lua_type(lua, index)) {
    case LUA_TSTRING: return Value::bulk(text_at(lua, index));
    case LUA_TNUMBER: return Value::number(static_cast<std::int64_t>(lua_tonumber(lua, index)));
    case LUA_TBOOLEAN: return lua_toboolean(lua, index) != 0 ? Value::number(1) : Value::nil();
    case LUA_TTABLE: break;
    default: return Value::nil();
  }
  std::string text;
  if (has_field(lua, index, "err", text)) return Value::error(text);
  if (has_field(lua, index, "ok", text)) return Value::status(text);
  Value list = Value::array({});
  for (int i = 1;; ++i) {
    lua_rawgeti(lua, index, i);
    if (lua_isnil(lua, -1)) break;
    list.elements.push_back(value_at(lua, lua_gettop(lua)));
    lua_pop(lua, 1);
  }
  lua_pop(lua, 1);
  return list;
}

void push_list(lua_State* lua, const char* name, const std::vector<std::string>& texts) {
  lua_pushstring(lua, name);
  lua_createtable(lua, static_cast<int>(texts.size()), 0);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    push_text(lua, texts[i]);
    lua_rawseti(lua, -2, static_cast<int>(i + 1));
  }
  lua_rawset(lua, LUA_GLOBALSINDEX);
}

std::string with_code(const std::string& message) {
  const auto end = message.find(' ');
  for (std::size_t i = 0; i < message.size() && i < end; ++i) {
    if (message[i] < 'A' || message[i] > 'Z') return "ERR " + message;
  }
  return message;
}

}  // namespace

void LuaHost::Close::operator()(lua_State* lua) const { lua_close(lua); }

LuaHost::LuaHost() : lua_{luaL_newstate()} {
  lua_State* lua = lua_.get();
  luaL_openlibs(lua);
  for (const char* name : {"io", "os", "require", "module", "package", "dofile", "loadfile", "print", "debug"}) {
    lua_pushnil(lua);
    lua_setglobal(lua, name);
  }
  lua_newtable(lua);
  const auto add = [&](const char* name, lua_CFunction function) {
    lua_pushlightuserdata(lua, this);
    lua_pushcclosure(lua, function, 1);
    lua_setfield(lua, -2, name);
  };
  add("call", &LuaHost::call_or_raise);
  add("pcall", &LuaHost::call_protected);
  lua_setglobal(lua, "redis");
  if (luaL_dostring(lua, prelude) != 0) std::fprintf(stderr, "%s\n", lua_tostring(lua, -1));
}

LuaHost::~LuaHost() = default;

LuaHost& LuaHost::host(lua_State* lua) { return *static_cast<LuaHost*>(lua_touserdata(lua, lua_upvalueindex(1))); }

/// Leaves the answer on the stack.
void LuaHost::perform(lua_State* lua) const {
  const int count = lua_gettop(lua);
  std::vector<std::string> arguments;
  arguments.reserve(static_cast<std::size_t>(count));
  for (int i = 1; i <= count; ++i) {
    if (lua_type(lua, i) == LUA_TNUMBER) {
      arguments.push_back(digits_of(lua_tonumber(lua, i)));
    } else if (lua_type(lua, i) == LUA_TSTRING) {
      arguments.push_back(text_at(lua, i));
    } else {
      push_value(lua, Value::error("ERR Lua redis lib command arguments must be strings or integers"));
      return;
    }
  }
  push_value(lua, (*call_)(arguments));
}

int LuaHost::call_protected(lua_State* lua) {
  host(lua).perform(lua);
  return 1;
}

int LuaHost::call_or_raise(lua_State* lua) {
  host(lua).perform(lua);
  if (!lua_istable(lua, -1)) return 1;
  lua_getfield(lua, -1, "err");
  // A jump out of this function: nothing with a destructor may be left in it.
  if (lua_type(lua, -1) == LUA_TSTRING) return lua_error(lua);
  lua_pop(lua, 1);
  return 1;
}

LuaHost::Script LuaHost::compile(const std::string& source) {
  const auto [place, added] = compiled_.try_emplace(source);
  if (!added) return place->second;
  lua_State* lua = lua_.get();
  if (luaL_loadbuffer(lua, source.data(), source.size(), "@user_script") != 0) {
    throw std::logic_error{text_at(lua, -1)};
  }
  return place->second = luaL_ref(lua, LUA_REGISTRYINDEX);
}

Value LuaHost::run(Script script, const std::vector<std::string>& keys, const std::vector<std::string>& arguments,
                   const Call& call) {
  lua_State* lua = lua_.get();
  push_list(lua, "KEYS", keys);
  push_list(lua, "ARGV", arguments);
  lua_rawgeti(lua, LUA_REGISTRYINDEX, script);
  call_ = &call;
  const bool failed = lua_pcall(lua, 0, 1, 0) != 0;
  call_ = nullptr;
  raised_ = failed;
  Value result = failed ? Value::error(with_code(text_at(lua, -1))) : value_at(lua, lua_gettop(lua));
  lua_settop(lua, 0);
  return result;
}

}  // namespace redismutex::memory
