#pragma once

#include <string_view>

namespace redismutex::protocol {

/// A Lua script that runs on the server in one atomic step. The files are in src/protocol/lua; the header comment of each
/// is its contract.
struct Script {
  std::string_view name;
  std::string_view sha1;  ///< by which a server that has it loaded calls it
  std::string_view source;
};

/// Generated from the files at build time.
namespace scripts {
extern const Script release;
extern const Script extend;
}  // namespace scripts

}  // namespace redismutex::protocol
