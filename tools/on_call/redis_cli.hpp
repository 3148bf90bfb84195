#pragma once

#include <redismutex/connection_options.hpp>
#include <string>

namespace redismutex::cli {

/// How redis-cli gets to the server, for remedies.
struct Way {
  std::string options;        ///< "-h db1 -p 6379"
  std::string login{};        ///< of the user in the URL: " --user app --askpass"; empty: the server wants none
  std::string admin_login{};  ///< of somebody who may change the server
  bool has_file = true;       ///< in which the server keeps its settings

  std::string command(const std::string& words) const { return "redis-cli " + options + login + " " + words; }
  /// For CONFIG and ACL.
  std::string admin_command(const std::string& words) const {
    return "redis-cli " + options + admin_login + " " + words;
  }
  /// Also for the time after the next start.
  std::string set(const std::string& name, const std::string& value) const {
    const std::string now = admin_command("CONFIG SET " + name + " " + value);
    return has_file ? now + " && " + admin_command("CONFIG REWRITE")
                    : now + "; and start the server with --" + name + " " + value + ": it has no file for its settings";
  }
};

/// A command line of ours about a key, for remedies: "redismutex status --url redis://db1:6379 k". `server`: the words that name it, as
/// NamedUrls::words.
std::string own_command(const std::string& words, const std::string& server, const std::string& key);

/// Throws what ConnectionOptions::credentials throws.
Way way_to(const ConnectionOptions& server);

/// The user that the server takes us for.
std::string user_of(const ConnectionOptions& server);

}  // namespace redismutex::cli
