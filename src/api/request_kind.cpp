#include "api/request_kind.hpp"

#include <optional>
#include <string_view>

#include "protocol/acquire.hpp"
#include "protocol/exchange.hpp"
#include "protocol/script.hpp"

namespace redismutex::api {
namespace {

using Kind = RequestAnswered::Kind;

/// None: it only accompanies what the request is for, as the start of a transaction does.
std::optional<Kind> kind_of(protocol::Arguments command) noexcept {
  namespace scripts = protocol::scripts;
  const std::string_view name = command[0];
  if (name == "SET")
    return command.size() > 3 && command[3] == "NX" ? Kind::acquire : Kind::other;  // else it is a label
  if (name == "DELIFEQ" || name == "DELEX") return Kind::release;
  if (name == "PTTL") return Kind::look;
  if (!name.starts_with("EVAL")) return std::nullopt;
  const std::string_view digest = command[1];
  if (digest == scripts::acquire.sha1) return protocol::Acquire::lines_up(command) ? Kind::line_up : Kind::acquire;
  if (digest == scripts::extend.sha1) return Kind::extend;
  if (digest == scripts::release.sha1) return Kind::release;
  return Kind::other;
}

}  // namespace

Kind kind_of(std::span<const route::Procedure::Command> commands) noexcept {
  for (const route::Procedure::Command& command : commands) {
    if (const auto kind = kind_of(command.arguments)) return *kind;
  }
  return Kind::other;
}

}  // namespace redismutex::api
