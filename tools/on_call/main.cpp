// redismutex-on-call: the subcommands of `redismutex` that look at locks from outside. `redismutex status …` runs this program in its place,
// with the same words: `redismutex run` starts for each short job anew and must not load what these need.

#include <redismutex/config.hpp>

#include <sys/prctl.h>

#include <array>
#include <clocale>
#include <csignal>
#include <deque>
#include <iostream>

#include "bench.hpp"
#include "break.hpp"
#include "complete.hpp"
#include "doctor.hpp"
#include "failures.hpp"
#include "ls.hpp"
#include "shared/declarations.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"
#include "shared/standard_descriptors.hpp"
#include "shared/subcommands.hpp"
#include "status.hpp"
#include "subcommand.hpp"
#include "watch.hpp"
#include "words.hpp"

namespace redismutex::cli {
namespace {

/// Where `status` is not what was found, but that nothing could be found. The doctor is run by monitoring systems, which call that unknown.
int failed(std::string_view name, int status) {
  constexpr int unknown = 3;
  return name == "doctor" ? unknown : status;
}

/// In the order of on_call_subcommands.
constexpr std::array<AddSubcommand, on_call_subcommands.size()> subcommands{add_status, add_ls,     add_watch,
                                                                            add_break,  add_doctor, add_bench};

int run_subcommand(std::size_t index, std::vector<std::string> words) {
  const auto& [name, about] = on_call_subcommands.at(index);
  CLI::App app{"", "redismutex"};
  CLI::App& parser = *app.add_subcommand(std::string{name}, std::string{about});
  const ServerOption server{parser};
  const Run run = subcommands.at(index)(parser, server);
  keep_brackets(parser, words);
  const std::string command = "redismutex " + std::string{name};
  if (const auto finished = parse_words(app, std::move(words), command, [] {})) {
    return *finished == 0 ? 0 : failed(name, *finished);
  }
  try {
    const int status = run();
    return finish_output() ? status : failed(name, exit_status::internal_error);
  } catch (...) {
    return failed(name, say_failure(command, server));
  }
}

/// With all subcommands declared, those of the other program too.
int run_complete(std::vector<std::string> words) {
  CLI::App app{"", "redismutex"};
  set_help(app, "");
  app.set_version_flag("--version", std::string{version()}, "show the version");
  const auto run = declare_run(app);
  const auto hold = declare_hold(app);
  std::deque<ServerOption> servers;  // their addresses stay
  std::vector<Run> runs;
  for (std::size_t i = 0; i < on_call_subcommands.size(); ++i) {
    const auto& [name, about] = on_call_subcommands.at(i);
    CLI::App& parser = *app.add_subcommand(std::string{name}, std::string{about});
    runs.push_back(subcommands.at(i)(parser, servers.emplace_back(parser)));
  }
  return complete(app, std::move(words));
}

int carry_out(int argc, char** argv) {
  occupy_standard_descriptors();
  ::prctl(PR_SET_NAME, "redismutex");  // by which people and pkill(1) find it
  std::signal(SIGPIPE, SIG_DFL);       // a reader that has enough, as head(1), ends us quietly
  std::setlocale(LC_CTYPE, "");        // how wide characters are
  std::vector<std::string> words(argv + 1, argv + argc);
  hide_passwords(argv + 1);
  if (!words.empty() && words.front() == complete_name) return run_complete({words.begin() + 1, words.end()});
  for (std::size_t i = 0; i < on_call_subcommands.size(); ++i) {
    if (!words.empty() && words.front() == on_call_subcommands.at(i).name) return run_subcommand(i, std::move(words));
  }
  say("this program is run by 'redismutex'; try: redismutex --help");
  return exit_status::usage;
}

}  // namespace
}  // namespace redismutex::cli

int main(int argc, char** argv) {
  try {
    return redismutex::cli::carry_out(argc, argv);
  } catch (...) {  // no memory for the arguments
    return redismutex::cli::exit_status::internal_error;
  }
}
