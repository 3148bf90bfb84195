#pragma once

#include <optional>
#include <redismutex/connection.hpp>
#include <string>
#include <vector>

#include "server_facts.hpp"

namespace redismutex::cli {

struct MissingRights {
  std::string user;
  std::vector<std::string> rights;  ///< as ACL SETUSER takes them
  bool are_vital = false;           ///< without them no lock can be taken at all
};

/// The rights for locks that the user of the connection lacks, by ACL DRYRUN. None: the server does not tell.
std::optional<MissingRights> missing_rights(const Connection& connection, const ServerFacts::Version& version);

}  // namespace redismutex::cli
