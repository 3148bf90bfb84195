#include "run_command.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <optional>
#include <redismutex/connection_options.hpp>

#include "embedded_server.hpp"
#include "failures.hpp"
#include "keeper.hpp"
#include "watcher.hpp"

namespace redismutex::cli {
namespace {

ConnectionOptions read_url(const RunArguments& arguments) {
  try {
    return parse_url(arguments.url);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument{arguments.url_source + ": " + error.what()};
  }
}

int run(const RunArguments& arguments, const Signals& signals, ProcessName& name) {
  std::optional<EmbeddedServer> embedded;  // is in use as long as this lives
  const auto server =
      arguments.url == embedded_url ? embedded.emplace(signals, name).connection_options() : read_url(arguments);
  LeasePage page;
  auto [watchers_end, keepers_end] = NoteSocket::pair();
  Family family;
  const auto watcher = ::getpid();
  const auto keeper = checked(::fork(), "fork");
  if (keeper == 0) {
    watchers_end.close();
    name.set("lock-keeper");
    const int status = keep(arguments, server, {signals, page, keepers_end, watcher});
    page.finish(status);
    ::_exit(status);
  }
  return Watcher{{signals, page, family, watchers_end, keepers_end, name, keeper}, arguments}.watch();
}

}  // namespace

int run_command(const RunArguments& arguments, const Signals& signals, ProcessName name) noexcept {
  try {
    return run(arguments, signals, name);
  } catch (...) {
    return say_failure(arguments);
  }
}

}  // namespace redismutex::cli
