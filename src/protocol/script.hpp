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

/// Generated from the files at build time; `queue.lua` stands in front of those that change the queue.
namespace scripts {
extern const Script acquire;
extern const Script extend;
extern const Script release;

inline constexpr std::array<const Script*, 3> all{&acquire, &extend, &release};
}  // namespace scripts

}  // namespace redismutex::protocol
