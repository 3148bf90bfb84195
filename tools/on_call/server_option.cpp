#include "server_option.hpp"

#include <stdexcept>

#include "shared/parser.hpp"

namespace redismutex::cli {

ServerOption::ServerOption(CLI::App& app)
    : find_{add_url_options(app,
                            "the server: redis://, rediss://, valkey://, valkeys://, unix://,\n"
                            "redis+sentinel:// or redis+cluster://; the other places for it are below")} {}

ConnectionOptions ServerOption::options() const {
  const NamedUrl found = find_();
  if (found.url.starts_with("embedded:")) {
    throw std::invalid_argument{found.source + ": 'embedded:' is for 'redismutex run' and 'hold' only"};
  }
  return connection_options(found);
}

std::string ServerOption::name() const { return display_name(options()); }

}  // namespace redismutex::cli
