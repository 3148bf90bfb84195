#pragma once

#include <map>
#include <string>
#include <vector>

#include "memory/value.hpp"

namespace redismutex::sim {

using memory::Value;

/// What commands led to: their answers, and what was pushed to each connection. In which order a connection gets its own
/// pushes and its answers is the server's business.
struct Effect {
  std::vector<Value> replies;
  std::map<int, std::vector<Value>> pushes;
};

/// For people.
std::string shown(const Value& value);

/// Whether a server could have sent one as well as the other: at another time, in other words.
bool alike(const Value& a, const Value& b);

/// In the messages of line.lua.
void forget_times(std::vector<Value>& pushes);

}  // namespace redismutex::sim
