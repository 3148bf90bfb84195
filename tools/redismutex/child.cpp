#include "child.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <array>
#include <cstring>

#include "exit_status.hpp"
#include "process_tree.hpp"

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

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    checked(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
    reader = Descriptor{ends[0]};
    writer = Descriptor{ends[1]};
  }

  Descriptor reader;
  Descriptor writer;
};

/// The child's side. Only async-signal-safe calls: other threads may have held any lock at the fork.
[[noreturn]] void become(char* const* arguments, char* const* environment, const Signals& signals, pid_t parent,
                         int error_pipe) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(exit_status::internal_error);  // it died before the line above took effect
  signals.restore();
  ::execvpe(arguments[0], arguments, environment);
  const int error = errno;
  [[maybe_unused]] const auto written = ::write(error_pipe, &error, sizeof error);
  ::_exit(exit_status::not_found);
}

/// What exec()'s `error` means to the user.
CannotStart cannot_start(const std::string& program, int error) {
  if (error != ENOENT) return {program, std::strerror(error), exit_status::not_executable};
  if (program.find('/') != std::string::npos && ::access(program.c_str(), F_OK) == 0) {
    return {program, "the interpreter that its first line names does not exist", exit_status::not_executable};
  }
  const std::string advice = program.starts_with('-') ? " (options of redismutex itself go before KEY)" : "";
  return {program, std::strerror(error) + advice, exit_status::not_found};
}

/// Returns the child's pid once it has become the command.
pid_t start(const std::vector<std::string>& command, const std::vector<std::string>& variables,
            const Signals& signals) {
  const auto arguments = pointers(command);
  const auto environment_strings = environment_with(variables);
  const auto environment = pointers(environment_strings);
  checked(::prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
  Pipe failure;
  const auto parent = ::getpid();
  const auto child = checked(::fork(), "fork");
  if (child == 0) become(arguments.data(), environment.data(), signals, parent, failure.writer.get());

  failure.writer.close();
  int error = 0;
  // Closed without a word by a successful exec.
  if (::read(failure.reader.get(), &error, sizeof error) != sizeof error) return child;
  ::waitpid(child, nullptr, 0);
  throw cannot_start(command.front(), error);
}

}  // namespace

CannotStart::CannotStart(const std::string& program, const std::string& reason, int exit_status)
    : std::runtime_error{"cannot run '" + program + "': " + reason}, exit_status_{exit_status} {}

Child::Child(const std::vector<std::string>& command, const std::vector<std::string>& variables, const Signals& signals)
    : pid_{start(command, variables, signals)} {}

std::optional<int> Child::reap() {
  int status = 0;
  for (pid_t ended; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (ended != pid_) continue;  // an orphan of the command
    exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : exit_status::ended_by_signal(WTERMSIG(status));
  }
  return exit_status_;
}

void Child::signal(int number) const {
  if (!exit_status_) ::kill(pid_, number);
}

void Child::signal_family(int number) const {
  for (const auto process : family()) ::kill(process, number);
}

std::vector<pid_t> Child::family() const { return descendants_in_session(::getpid(), exit_status_ ? 0 : pid_); }

}  // namespace redismutex::cli
