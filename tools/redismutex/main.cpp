// What `redismutex run` is made of: which process does what, and what each does when another one is killed or stands still.
//
//   shell
//    └─ redismutex          the watcher (watcher.cpp): the process that the shell knows
//        ├─ signal-witness  the witness (witness.cpp): gets the signals that are sent to the whole job
//        └─ lock-keeper     the keeper (keeper.cpp, guard.cpp): has the connection and the lock
//            └─ COMMAND     (child.cpp) and all that it starts
//
// The rule: no process that COMMAND started, in whatever way, runs when the lease can have ended. Watcher and keeper each
// see to it without the other.
//
// - Both are subreapers: a process whose parent has ended becomes a child of the keeper, or, when that is dead, of the
//   watcher. So all that COMMAND started descends from both, daemons too, and /proc shows it (family.cpp). When the keeper
//   has no children left, nothing of COMMAND is left.
// - The library renews the lock, in the keeper. The keeper's main thread looks at what is left of the lease, and writes into a
//   shared page (lease_page.hpp) when COMMAND has to be asked to end and when it has to be killed. If the lock is lost or can not be renewed, it does so.
// - The watcher has no connection and needs no answer. It sleeps until the times in the page, and a little longer. If they
//   have not moved by then, the keeper stands still. The watcher kills the keeper first, so that it can not start anything
//   any more, and then all that COMMAND started. It does the same at once when the keeper is dead (SIGCHLD).
// - The keeper sees the death of the watcher at its end of their connection (notes.hpp). It kills all that COMMAND started,
//   gives the lock back, and ends. A watcher that stands still (Ctrl-Z) does no harm: the keeper goes on renewing.
// - COMMAND and watcher are in the process group that the shell made; the keeper is in one of its own. So a SIGKILL to the
//   whole group (timeout -s KILL) leaves the keeper alive to kill what has left the group.
// - When watcher and keeper are killed or stand still together, the witness kills what has COMMAND's environment. It is no
//   parent of anything, so the environment is all it can go by.
// - When all three are killed together, the kernel kills COMMAND (PR_SET_PDEATHSIG), and nobody what COMMAND started.
//
// In order of time: the watcher starts the keeper. The keeper takes the lock, writes the page, tells the watcher, looks once
// more whether the lease is long enough, and starts COMMAND. If it stands still anywhere in between, the watcher ends it
// before the lease ends. The witness comes 5 ms after COMMAND: a short job needs none.
//
// Signals: all are blocked in all three processes and read as data. The watcher passes those that are sent to it on to the
// keeper, which sends them to its child COMMAND; while there is no COMMAND, one that asks for an end ends the wait. COMMAND
// must get each signal once, so the watcher finds out which of them COMMAND got by itself (signal_sieve.hpp). What the
// terminal sends, it sends to the whole foreground group: it is not passed on. But when the terminal goes away, the kernel
// tells the session's leader alone; if that is the watcher, it has all that COMMAND started told (SIGHUP).
//
// `redismutex hold` is one process, and two with --with PID: the one that the shell knows starts lock-holder (hold_with.cpp), which has
// the connection and the lock, and belongs to nobody from the moment on that the lock is announced.
//
// With `--url embedded:` there is a server and its minder beside these, which belong to no run: see embedded_server.hpp.

#include <unistd.h>

#include <algorithm>

#include "arguments.hpp"
#include "failures.hpp"
#include "hold_command.hpp"
#include "run_command.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"
#include "shared/program_beside.hpp"
#include "shared/standard_descriptors.hpp"
#include "shared/subcommands.hpp"
#include "signals.hpp"
#include "tls_program.hpp"

namespace redismutex::cli {
namespace {

/// For those who are used to it from other commands: `help run` is `run --help`, and `version` is `--version`.
std::vector<std::string> with_options(std::vector<std::string> words) {
  if (words.empty()) return words;
  if (words.front() == "version") words.front() = "--version";
  if (words.front() != "help") return words;
  words.erase(words.begin());
  words.resize(std::min<std::size_t>(words.size(), 1));
  words.emplace_back("--help");
  return words;
}

/// Does not return for the words of another of our programs, which it runs in place of this one.
void leave_to_another_program(char** argv, const std::vector<std::string>& words) {
  const auto is_named = [&](const SubcommandName& subcommand) { return words.front() == subcommand.name; };
  if (words.empty()) return;
  if (words.front() != complete_name &&
      std::none_of(on_call_subcommands.begin(), on_call_subcommands.end(), is_named)) {
    return;
  }
  run_program_beside("redismutex-on-call", argv[0], words,
                     "'" + words.front() + "' needs it: install redismutex as a whole, or build it where " +
                         "nlohmann-json3-dev and libncurses-dev are");
}

/// `redismutex hold`, once the words are read.
int hold_it(const HoldArguments& arguments, char** argv, const std::vector<std::string>& for_another_program) {
  try {
    run_tls_program(arguments.servers.urls, argv[0], for_another_program);
  } catch (...) {
    return say_failure(arguments.servers.source, "redismutex hold");
  }
  const Signals signals;
  return hold_command(arguments, signals, ProcessName{argv});
}

int carry_out(int argc, char** argv) {
  occupy_standard_descriptors();
  std::vector<std::string> words = with_options({argv + 1, argv + argc});
  const std::vector<std::string> for_another_program(argv + 1, argv + argc);
  try {
    leave_to_another_program(argv, words);
  } catch (const NoProgramBeside& error) {
    say(error.what());
    return exit_status::internal_error;
  }
  hide_passwords(argv + 1);
  if (!words.empty() && words.front() == "hold") {
    const auto parsed = parse_hold_arguments({words.begin() + 1, words.end()});
    if (const auto* const status = std::get_if<Finished>(&parsed)) return *status;
    return hold_it(std::get<HoldArguments>(parsed), argv, for_another_program);
  }
  const auto parsed = parse_arguments(std::move(words));
  if (const auto* const status = std::get_if<Finished>(&parsed)) return *status;
  const auto& arguments = std::get<RunArguments>(parsed);
  try {
    run_tls_program(arguments.servers.urls, argv[0], for_another_program);
  } catch (...) {
    return say_failure(arguments);
  }

  const Signals signals;
  const int status = run_command(arguments, signals, ProcessName{argv});
  ::_exit(status);  // what is left to be freed is shared with the other processes: it would be copied to be freed
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
