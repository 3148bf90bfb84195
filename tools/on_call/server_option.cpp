#include "server_option.hpp"

#include <stdexcept>

#include "shared/parser.hpp"

namespace redismutex::cli {

ServerOption::ServerOption(CLI::App& app)
    : find_{add_url_options(app,
                            "the server: redis://, rediss://, valkey://, valkeys:// or unix://;\n"
                            "the other places for it are below")} {}

ConnectionOptions ServerOption::options() const {
  const auto [url, source] = find_();
  if (url.starts_with("embedded:")) {
    throw std::invalid_argument{source + ": 'embedded:' is for 'redismutex run' only"};
  }
  try {
    return parse_url(url);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument{source + ": " + error.what()};
  }
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
