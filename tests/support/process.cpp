#include "support/process.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <utility>

#include "support/eventually.hpp"

// ThreadSanitizer refuses threads in the child of a process that had any; our forked clients start some.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace redismutex::testing {
namespace {

constexpr int exit_code_of_exception = 99;
constexpr int exit_code_of_failed_exec = 127;

/// In a child: its threads do not get the stacks, and so not the ids, of those that the parent had. ThreadSanitizer still counts
/// those among the living. (The C library keeps their stacks for new threads that need no more.)
void keep_thread_ids_apart() {
  constexpr std::size_t more = 64 * 1024;
  pthread_attr_t usual;
  std::size_t size = 0;
  if (::pthread_getattr_default_np(&usual) != 0) return;
  ::pthread_attr_getstacksize(&usual, &size);
  ::pthread_attr_setstacksize(&usual, size + more);
  ::pthread_setattr_default_np(&usual);
  ::pthread_attr_destroy(&usual);
}

/// fork() whose child leads a group of its own and ends with the thread that called.
pid_t fork_tied() {
  const auto parent = ::getpid();
  std::cout.flush();
  std::fflush(nullptr);  // or the child would write what is buffered once more
  const auto pid = checked(::fork(), "fork");
  if (pid != 0) return pid;
  keep_thread_ids_apart();
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);  // it died before the line above took effect
  return 0;
}

int run(const std::function<int()>& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    std::cerr << "child " << ::getpid() << ": " << error.what() << std::endl;
  } catch (...) {
    std::cerr << "child " << ::getpid() << ": unknown exception" << std::endl;
  }
  return exit_code_of_exception;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

/// This process's environment with `changes` put in.
std::vector<std::string> environment_with(const std::vector<std::string>& changes) {
  auto result = changes;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string own = *entry;
    const auto same_name = [&](const std::string& change) {
      return change.compare(0, change.find('=') + 1, own, 0, own.find('=') + 1) == 0;
    };
    if (std::none_of(changes.begin(), changes.end(), same_name)) result.push_back(own);
  }
  return result;
}

/// Whether a program of this name stands somewhere in PATH, executable or not. The system calls say "Permission denied" for one
/// that is nowhere, when a directory in PATH may not be read; a shell does not.
bool is_in_path(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream directories{path != nullptr ? path : ""};
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (::access(((directory.empty() ? "." : directory) + "/" + name).c_str(), F_OK) == 0) return true;
  }
  return false;
}

/// The child's side of starting a program: only async-signal-safe calls, since other threads' locks may be held.
[[noreturn]] void become(char* const* arguments, char* const* environment, bool is_nowhere, int in, int out, int err) {
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::execvpe(arguments[0], arguments, environment);
  if (is_nowhere) errno = ENOENT;
  for (const char* text : std::initializer_list<const char*>{arguments[0], ": ", ::strerrordesc_np(errno), "\n"}) {
    if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) break;
  }
  ::_exit(exit_code_of_failed_exec);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const ExitStatus& status) {
  if (status.signal != 0) return out << "killed by " << ::strsignal(status.signal);
  return out << "exit code " << status.code;
}

ChildProcess::ChildProcess(const std::function<int()>& body) : pid_(fork_tied()) {
  if (pid_ != 0) return;
  const int code = run(body);
  std::cout.flush();
  std::fflush(nullptr);
  ::_exit(code);
}

ChildProcess::ChildProcess(const Program& program) {
  auto argument_strings = program.arguments;
  auto environment_strings = environment_with(program.environment);
  const auto arguments = pointers(argument_strings);
  const auto environment = pointers(environment_strings);
  const Descriptor input(checked(::memfd_create("redismutex-test-input", MFD_CLOEXEC), "memfd_create"));
  checked(::pwrite(input.get(), program.input.data(), program.input.size(), 0), "pwrite");
  const std::string& name = program.arguments.front();
  const bool is_nowhere = name.find('/') == std::string::npos && !is_in_path(name);
  pid_ = fork_tied();
  if (pid_ == 0)
    become(arguments.data(), environment.data(), is_nowhere, input.get(), out_.descriptor(), err_.descriptor());
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : out_(std::move(other.out_)), err_(std::move(other.err_)), pid_(std::exchange(other.pid_, 0)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(out_, other.out_);
  std::swap(err_, other.err_);
  std::swap(pid_, other.pid_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);  // by itself too: it may not have reached its own group yet
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void ChildProcess::kill(int signal) const { checked(::kill(pid_, signal), "kill"); }

void ChildProcess::pause() const {
  kill(SIGSTOP);
  siginfo_t report{};
  checked(::waitid(P_PID, static_cast<id_t>(pid_), &report, WSTOPPED | WEXITED | WNOWAIT), "waitid");
}

std::optional<ExitStatus> ChildProcess::wait(std::chrono::milliseconds limit) const {
  siginfo_t report{};
  const bool ended = eventually(limit, [&] {
    checked(::waitid(P_PID, static_cast<id_t>(pid_), &report, WEXITED | WNOHANG | WNOWAIT), "waitid");
    return report.si_pid != 0;
  });
  if (!ended) return std::nullopt;
  return report.si_code == CLD_EXITED ? exited(report.si_status) : killed_by(report.si_status);
}

}  // namespace redismutex::testing
