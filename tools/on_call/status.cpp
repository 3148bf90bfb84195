#include "status.hpp"

#include <iostream>
#include <memory>
#include <redismutex/operate.hpp>
#include <redismutex/printable.hpp>
#include <vector>

#include "shared/parser.hpp"
#include "words.hpp"

namespace redismutex::cli {
namespace {

constexpr auto usage = R"(Examples:
  redismutex status nightly-report

Usage: redismutex status [OPTIONS] KEY...
)";

struct StatusOptions {
  std::vector<std::string> keys;
};

int run(const StatusOptions& options, const ServerOption& server) {
  for (const Inspection& seen : inspect(server.connect(), options.keys)) {
    std::cout << printable(seen.key) << "  " << (seen.state == Inspection::State::held ? "held" : "not held") << '\n';
  }
  return 0;
}

}  // namespace

Run add_status(CLI::App& app, const ServerOption& server) {
  set_help(app, usage, where_the_url_is);
  const auto options = std::make_shared<StatusOptions>();
  add_words(app, "KEY", options->keys, "the names of the mutexes");
  return [options, &server] { return run(*options, server); };
}

}  // namespace redismutex::cli
