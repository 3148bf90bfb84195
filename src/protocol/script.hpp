#pragma once

#include <array>
#include <string_view>

namespace redismutex::protocol {

/// A Lua script that runs on the server in one atomic step. The files are in src/protocol/lua; the header comment of each
/// is its contract.
struct Script {
  std::string_view name;
  std::string_view sha1;  ///< by which a server that has it loaded calls it
  std::string_view source;
};

/// Generated from the files at build time; `line.lua` is part of those that give a lock to somebody in line.
namespace scripts {
extern const Script acquire;
extern const Script extend;
extern const Script refresh;
extern const Script release;

/// Those that locks need. A server that has forgotten one has forgotten them all.
inline constexpr std::array<const Script*, 4> all{&acquire, &extend, &refresh, &release};

// These are loaded when they are needed.
extern const Script inspect;  ///< for operators' tools
extern const Script raise;    ///< for the fencing tokens of quorums
extern const Script witness;  ///< for those who ask replicas
}  // namespace scripts

}  // namespace redismutex::protocol
