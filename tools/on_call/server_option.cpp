#include "server_option.hpp"

#include <unistd.h>

#include <redismutex/errors.hpp>
#include <stdexcept>
#include <utility>

#include "shared/embedded_place.hpp"
#include "shared/parser.hpp"

namespace redismutex::cli {

namespace {

/// As long as somebody uses it. Throws ConnectionError.
std::string url_of_embedded_server() {
  if (::access(embedded_socket().c_str(), F_OK) != 0) {
    throw ConnectionError{
        "the embedded server does not run: it is there as long as a 'redismutex run' or 'hold' of this user needs it"};
  }
  // Behind that: whoever has made the directory meanwhile is found out.
  if (const auto trouble = trouble_with_embedded_directory(); !trouble.empty()) {
    throw ConnectionError{"no embedded server: " + embedded_directory() + ": " + trouble};
  }
  return "unix://" + embedded_socket();
}

}  // namespace

ServerOption::ServerOption(CLI::App& app)
    : find_{add_url_options(app,
                            "the server: redis://, rediss://, valkey://, valkeys://, unix://, "
                            "redis+sentinel://, redis+cluster:// or embedded:; several times for "
                            "those of a quorum, where that makes sense; the other places for it "
                            "are below")} {}

std::vector<ConnectionOptions> ServerOption::all() const {
  NamedUrls found = find_();
  for (auto& url : found.urls) {
    if (url == embedded_url) url = url_of_embedded_server();
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
