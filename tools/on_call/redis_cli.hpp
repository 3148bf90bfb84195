#pragma once

#include <redismutex/connection_options.hpp>
#include <string>

namespace redismutex::cli {

/// How redis-cli gets to the server, for remedies.
struct Way {
  std::string options;        ///< "-h db1 -p 6379"
  std::string login{};        ///< of the user in the URL: " --user app --askpass"; empty: the server wants none
  std::string admin_login{};  ///< of somebody who may change the server

  std::string command(const std::string& words) const { return "redis-cli " + options + login + " " + words; }
  /// For CONFIG and ACL.
  std::string admin_command(const std::string& words) const {
    return "redis-cli " + options + admin_login + " " + words;
  }
  std::string set(const std::string& name, const std::string& value) const {
    // Or it is forgotten at the next start.
    return admin_command("CONFIG SET " + name + " " + value) + " && " + admin_command("CONFIG REWRITE");
  }
};

/// A command line of ours, for remedies: "redismutex doctor --write --url redis://db1:6379"; and about a key of that server.
std::string own_command(const std::string& words, const std::string& url);
std::string own_command(const std::string& words, const std::string& url, const std::string& key);

/// Throws what ConnectionOptions::credentials throws.
Way way_to(const ConnectionOptions& server);

/// The user that the server takes us for.
std::string user_of(const ConnectionOptions& server);

}  // namespace redismutex::cli
