#include "server_option.hpp"

#include <stdexcept>
#include <utility>

#include "shared/parser.hpp"

namespace redismutex::cli {

ServerOption::ServerOption(CLI::App& app)
    : find_{add_url_options(app,
                            "the server: redis://, rediss://, valkey://, valkeys://, unix://,\n"
                            "redis+sentinel:// or redis+cluster://; several times for those of a quorum,\n"
                            "where that makes sense; the other places for it are below")} {}

std::vector<ConnectionOptions> ServerOption::all() const {
  const NamedUrls found = find_();
  for (const auto& url : found.urls) {
    if (!url.starts_with("embedded:")) continue;
    throw std::invalid_argument{found.source + ": 'embedded:' is for 'redismutex run' and 'hold' only"};
  }
  return connection_options(found);
}

ConnectionOptions ServerOption::options() const {
  auto servers = all();
  if (servers.size() == 1) return std::move(servers.front());
  throw std::invalid_argument{source() + " names " + std::to_string(servers.size()) +
                              " servers, and this looks at one: give it each by itself; run, hold, status, break and "
                              "doctor take those of a quorum together"};
}

std::string ServerOption::name() const { return display_name(options()); }

}  // namespace redismutex::cli
