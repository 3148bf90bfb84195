#pragma once

#include <functional>
#include <redismutex/connection.hpp>
#include <redismutex/connection_options.hpp>
#include <string>

#include "shared/app.hpp"
#include "shared/url_source.hpp"

namespace redismutex::cli {

/// --url and its like, and the server that they name.
class ServerOption {
 public:
  explicit ServerOption(CLI::App& app);

  /// Once the words are parsed. Throws NoUrl; std::invalid_argument, which names the source of the URL, for a malformed one.
  ConnectionOptions options() const;

  /// Connects on first use.
  Connection connect() const { return Connection{options()}; }

  /// Which place names the server: "--url", "$REDIS_URL", a file's path. Throws NoUrl.
  std::string source() const { return find_().source; }

  /// For people, without the login: "redis://db1:6379/1". Throws as options() does.
  std::string name() const;

 private:
  std::function<NamedUrl()> find_;
};

}  // namespace redismutex::cli
