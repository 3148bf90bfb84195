#pragma once

#include <redismutex/inspection.hpp>
#include <string>

#include "colours.hpp"

namespace redismutex::cli {

/// A server as it is shown.
struct NamedServer {
  std::string name;       ///< "redis://db1:6379/1"
  std::string role{};     ///< "primary", "replica"; empty: unknown
  std::string primary{};  ///< of a replica: the URL of the server that it copies

  bool is_replica() const noexcept { return !primary.empty(); }
};

/// "free", "held", "foreign", "not-a-lock".
std::string state_name(Inspection::State state);

/// What a role of INFO is called here.
std::string role_text(const std::string& role);

/// All that is known of one key, in lines for people.
std::string describe(const Inspection& seen, const NamedServer& server, const Colours& colours);

/// In one line: "orders:7 held by web3 pid 812 (billing), 2 wait".
std::string describe_shortly(const Inspection& seen, const NamedServer& server);

/// The same as describe(), for programs: a line with an object in JSON.
std::string json_line(const Inspection& seen, const NamedServer& server);

}  // namespace redismutex::cli
