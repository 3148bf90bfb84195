#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "histories/checker.hpp"
#include "histories/history.hpp"
#include "memory/lua_host.hpp"
#include "sim/mutant.hpp"
#include "sim/profile.hpp"

namespace redismutex::sim {

using memory::LuaHost;

struct Result {
  std::vector<histories::Violation> violations;
  std::size_t acquired = 0;
  std::size_t waited = 0;
  histories::History history = {};
};

struct Setting {
  std::uint64_t seed = 0;
  const Profile* profile = nullptr;
  Mutant mutant = Mutant::none;
};

/// Runs one simulation to its end and checks what happened. The same setting gives the same result.
Result simulate(LuaHost& lua, const Setting& setting);

/// The command that runs it again and shows what happens, from the present directory.
std::string replay(const Setting& setting);

}  // namespace redismutex::sim
