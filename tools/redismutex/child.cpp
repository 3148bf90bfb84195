#include "child.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>

#include "boot_clock.hpp"
#include "family.hpp"
#include "late_option.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/shell_word.hpp"

namespace redismutex::cli {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  // exec() takes them without const for historical reasons only.
  for (const auto& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

/// This process's environment with `variables` put in.
std::vector<std::string> environment_with(const std::vector<std::string>& variables) {
  auto result = variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view own{*entry};
    const auto name = own.substr(0, own.find('=') + 1);
    bool replaced = false;
    for (const auto& variable : variables) replaced = replaced || (!name.empty() && variable.starts_with(name));
    if (!replaced) result.emplace_back(own);
  }
  return result;
}

struct Start {
  char* const* arguments;
  char* const* environment;
  pid_t group;
  const Signals& signals;
  pid_t parent;
};

/// The child's side: it uses the parent's memory until it has become the command, while the parent stands still. Only
/// async-signal-safe calls. Returns the error of exec().
int become(const Start& start) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != start.parent) ::_exit(exit_status::internal_error);  // it died before the line above took effect
  if (start.group != 0) ::setpgid(0, start.group);
  start.signals.restore();
  ::execvpe(start.arguments[0], start.arguments, start.environment);
  return errno;
}

/// Returns the child's pid, and in `error` why it could not become the command, or 0.
[[gnu::noinline]] pid_t spawn(const Start& start, volatile int& error) {
  // Copies no page tables, as fork() does: a third of the time. NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork)
  const auto child = ::vfork();
  if (child != 0) return child;
  error = become(start);  // NOLINT(clang-analyzer-unix.Vfork): its calls are those that vfork() allows on Linux
  ::_exit(exit_status::not_found);
}

bool is_file(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && !S_ISDIR(found.st_mode);
}

/// Whether a directory of PATH has it. exec() says "permission denied" also of a directory that it can not look into.
bool is_in_path(const std::string& program) {
  const char* const path = std::getenv("PATH");
  std::string_view rest{path != nullptr ? path : "/bin:/usr/bin"};
  while (true) {
    const auto directory = std::string{rest.substr(0, rest.find(':'))};
    if (is_file((directory.empty() ? "." : directory) + "/" + program)) return true;
    if (rest.find(':') == std::string_view::npos) return false;
    rest.remove_prefix(rest.find(':') + 1);
  }
}

/// About a command that does not exist: what may have been meant.
std::string advice_on(const std::vector<std::string>& command) {
  const std::string& program = command.front();
  if (auto advice = advice_on_late_option(command); !advice.empty()) return advice;
  const bool is_line = command.size() == 1 && program.find(' ') != std::string::npos;
  return is_line ? " (a line for a shell? sh -c " + shell_word(program) + ")" : "";
}

/// What exec()'s `error` means to the user.
CannotStart cannot_start(const std::vector<std::string>& command, int error) {
  const std::string& program = command.front();
  const bool is_path = program.find('/') != std::string::npos;
  if (error == EACCES && !is_path && !is_in_path(program)) error = ENOENT;
  if (error != ENOENT) return {program, std::strerror(error), exit_status::not_executable};
  if (is_path && is_file(program)) {
    return {program, "the interpreter that its first line names does not exist", exit_status::not_executable};
  }
  return {program, std::strerror(error) + advice_on(command), exit_status::not_found};
}

pid_t start(const std::vector<std::string>& command, const std::vector<std::string>& variables, pid_t group,
            const Signals& signals) {
  const auto arguments = pointers(command);
  const auto environment_strings = environment_with(variables);
  const auto environment = pointers(environment_strings);
  volatile int error = 0;
  const auto child = checked(spawn({arguments.data(), environment.data(), group, signals, ::getpid()}, error), "vfork");
  if (error == 0) return child;
  ::waitpid(child, nullptr, 0);
  throw cannot_start(command, error);
}

}  // namespace

CannotStart::CannotStart(const std::string& program, const std::string& reason, int exit_status)
    : std::runtime_error{"cannot run '" + program + "': " + reason}, exit_status_{exit_status} {}

Child::Child(const std::vector<std::string>& command, const std::vector<std::string>& variables, pid_t group,
             const Signals& signals)
    : pid_{start(command, variables, group, signals)} {}

Child::~Child() {
  if (!all_have_ended_) kill_all();
}

std::optional<int> Child::reap() {
  int status = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(-1, &status, WNOHANG)) > 0) {
    if (ended != pid_) continue;  // an orphan of the command
    exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : exit_status::ended_by_signal(WTERMSIG(status));
  }
  // This process is the parent of all orphans: who has no children has no descendants.
  if (ended < 0 && errno == ECHILD) all_have_ended_ = true;
  return exit_status_;
}

void Child::pass_on(const Note& note) const {
  if (!exit_status_) {
    send_signal(pid_, note);
  } else if (!all_have_ended_) {
    for (const auto process : family_.members()) send_signal(process, note);
  }
}

void Child::signal_all(int number) const {
  if (!exit_status_) ::kill(pid_, number);  // the first of the family, before looking for the others
  family_.signal(number, exit_status_ ? 0 : pid_);
}

void Child::kill_all() {
  const auto deadline = BootClock::now() + kill_limit;
  for (reap(); !all_have_ended_; reap()) {
    if (BootClock::now() >= deadline) {
      say("processes of the command could not be killed");
      ::_exit(exit_status::lock_lost);
    }
    if (!exit_status_) ::kill(pid_, SIGKILL);  // first: it may be starting others
    family_.kill();
    ::poll(nullptr, 0, static_cast<int>(kill_again_every.count()));
  }
}

}  // namespace redismutex::cli
