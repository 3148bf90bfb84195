#pragma once

#include <optional>
#include <redismutex/connection.hpp>
#include <redismutex/connection_options.hpp>
#include <string>

#include "doctor_rights.hpp"
#include "judgements.hpp"

namespace redismutex::cli {

/// What is examined, and how.
struct Examination {
  ConnectionOptions server;
  std::string name;                      ///< the server's, for people
  std::string words;                     ///< by which command lines name all that is examined, as NamedUrls::words
  std::optional<std::string> compare{};  ///< a URL that should lead to the same server, or servers
  bool writes = false;                   ///< take a lock on a key of its own, `redismutex-doctor:UUID`
  TriedKey key{};                        ///< with which rights are tried
};

/// All that is found; a server that can not be reached is a finding, too. Of a cluster each server that has slots is examined.
Findings examine(const Examination& examination);

}  // namespace redismutex::cli
