#pragma once

#include <functional>
#include <redismutex/connection.hpp>
#include <redismutex/connection_options.hpp>
#include <string>
#include <vector>

#include "shared/app.hpp"
#include "shared/url_source.hpp"

namespace redismutex::cli {

/// --url and its like, and the server that they name, or those of a quorum.
class ServerOption {
 public:
  explicit ServerOption(CLI::App& app);

  /// Once the words are parsed: one, or all of a quorum. Throws NoUrl; std::invalid_argument, which names the source of the URL, for a malformed one.
  std::vector<ConnectionOptions> all() const;

  /// Of what looks at one server. Throws std::invalid_argument for a quorum, too.
  ConnectionOptions options() const;

  bool is_quorum() const { return find_().are_quorum(); }

  /// Connects on first use.
  Connection connect() const { return Connection{options()}; }

  /// Which place names the server: "--url", "$REDIS_URL", a file's path. Throws NoUrl.
  std::string source() const { return find_().source; }

  /// What a command line says to name the server again: NamedUrls::words. Throws NoUrl.
  std::string words() const { return find_().words; }

  /// For people, without the login: "redis://db1:6379/1". Throws as options() does.
  std::string name() const;

 private:
  std::function<NamedUrls()> find_;
};

}  // namespace redismutex::cli
