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

/// A key with which rights are tried.
struct TriedKey {
  std::string name = "redismutex-doctor:x";
  bool is_locked = false;  ///< somebody wants to lock it: then the right to it is vital
};

/// The rights for locks that the user of the connection lacks, by ACL DRYRUN. None: the server does not tell.
std::optional<MissingRights> missing_rights(const Connection& connection, const ServerFacts::Version& version,
                                            const TriedKey& key);

/// All that locks need on that server, and the key pattern of those that the doctor takes.
std::vector<std::string> rights_for_locks(const ServerFacts::Version& version);

}  // namespace redismutex::cli
