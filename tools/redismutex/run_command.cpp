#include "run_command.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "failures.hpp"
#include "keeper.hpp"
#include "named_server.hpp"
#include "report.hpp"
#include "watcher.hpp"

namespace redismutex::cli {
namespace {

int run(const RunArguments& arguments, const Signals& signals, ProcessName& name, LeasePage& page) {
  const NamedServer server{arguments.servers, signals, name};
  auto [watchers_end, keepers_end] = NoteSocket::pair();
  Family family;
  const auto watcher = ::getpid();
  const auto keeper = checked(::_Fork(), "fork");  // there is one thread here, and nobody to be told of a fork
  if (keeper == 0) {
    watchers_end.close();
    name.set("lock-keeper");
    const int status = keep(arguments, server.options(), {signals, page, keepers_end, watcher});
    page.finish(status);
    ::_exit(status);
  }
  return Watcher{{signals, page, family, watchers_end, keepers_end, name, keeper}, arguments}.watch();
}

}  // namespace

int run_command(const RunArguments& arguments, const Signals& signals, ProcessName name) noexcept {
  try {
    const auto trouble = arguments.report.empty() ? std::string{} : trouble_with_report(arguments.report);
    if (!trouble.empty()) throw std::invalid_argument{"--report: " + trouble};
    LeasePage page;
    const auto asked_at = BootClock::now();
    const int status = [&] {
      try {
        return run(arguments, signals, name, page);
      } catch (...) {
        return say_failure(arguments);
      }
    }();
    if (!arguments.report.empty()) report_run(arguments, page, asked_at, status);
    return status;
  } catch (...) {
    return say_failure(arguments);
  }
}

}  // namespace redismutex::cli
