#include "server_option.hpp"

#include <stdexcept>

#include "shared/parser.hpp"

namespace redismutex::cli {

ServerOption::ServerOption(CLI::App& app)
    : find_{add_url_options(app,
                            "the server: redis://, rediss://, valkey://, valkeys:// or unix://;\n"
                            "the other places for it are below")} {}

ConnectionOptions ServerOption::options() const {
  const NamedUrl found = find_();
  if (found.url.starts_with("embedded:")) {
    throw std::invalid_argument{found.source + ": 'embedded:' is for 'redismutex run' and 'hold' only"};
  }
  return connection_options(found);
}

std::string ServerOption::name() const {
  const ConnectionOptions server = options();
  const std::string db = std::to_string(server.db);
  if (!server.unix_socket.empty()) return "unix://" + server.unix_socket + (server.db == 0 ? "" : "?db=" + db);
  const bool is_address = server.host.find(':') != std::string::npos;
  return std::string{server.tls ? "rediss://" : "redis://"} + (is_address ? "[" + server.host + "]" : server.host) +
         ":" + std::to_string(server.port) + "/" + db;
}

}  // namespace redismutex::cli
