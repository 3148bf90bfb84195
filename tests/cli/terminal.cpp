#include "terminal.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <array>
#include <sstream>
#include <stdexcept>

namespace redismutex::testing {
namespace {

[[noreturn]] void become(const Program& program, int terminal) {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(terminal, number);
  auto strings = program.arguments;
  std::vector<char*> arguments;
  for (auto& string : strings) arguments.push_back(string.data());
  arguments.push_back(nullptr);
  for (const auto& variable : program.environment) {
    const auto equals = variable.find('=');
    ::setenv(variable.substr(0, equals).c_str(), variable.substr(equals + 1).c_str(), 1);
  }
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

[[noreturn]] void become_job(const Program& program, int terminal) {
  ::setpgid(0, 0);
  ::tcsetpgrp(terminal, ::getpid());
  ::signal(SIGTTOU, SIG_DFL);
  become(program, terminal);
}

Descriptor new_terminal() {
  Descriptor master(checked(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt"));
  checked(::grantpt(master.get()), "grantpt");
  checked(::unlockpt(master.get()), "unlockpt");
  return master;
}

std::string text_of_end(int status) {
  std::ostringstream text;
  text << (WIFEXITED(status) ? exited(WEXITSTATUS(status)) : killed_by(WTERMSIG(status)));
  return text.str();
}

/// The shell: a session leader whose terminal this is.
[[noreturn]] void be_shell(const Program& program, const char* terminal_name, const Channel& events) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();
  const int terminal = checked(::open(terminal_name, O_RDWR | O_CLOEXEC), "open");
  ::signal(SIGTTOU, SIG_IGN);  // it may hand the terminal over from the background
  const auto job = checked(::fork(), "fork");
  if (job == 0) become_job(program, terminal);
  ::setpgid(job, job);
  events.send(std::to_string(job));
  for (int status = 0; ::waitpid(job, &status, WUNTRACED) == job;) {
    events.send(WIFSTOPPED(status) ? "stopped" : text_of_end(status));
  }
  ::_exit(0);
}

}  // namespace

TerminalJob::TerminalJob(const Program& program) : master_(new_terminal()) {
  const std::string terminal_name = ::ptsname(master_.get());
  shell_.emplace([&] {
    master_ = Descriptor();  // or its terminal would never go away
    // A group leader, as every ChildProcess is, can not begin a session; its child can.
    const auto shell = checked(::fork(), "fork");
    if (shell == 0) be_shell(program, terminal_name.c_str(), events_);
    ::waitpid(shell, nullptr, 0);
    return 0;
  });
  const auto first = events_.receive(limit);
  if (!first) throw std::runtime_error("no job in the terminal");
  pid_ = std::stoi(*first);
}

void TerminalJob::type(std::string_view keys) const {
  checked(::write(master_.get(), keys.data(), keys.size()), "write");
}

std::string TerminalJob::output() const {
  std::string text;
  std::array<char, 4096> some{};
  for (pollfd ready{master_.get(), POLLIN, 0}; ::poll(&ready, 1, 0) > 0 && (ready.revents & POLLIN) != 0;) {
    const auto size = ::read(master_.get(), some.data(), some.size());
    if (size <= 0) break;
    text.append(some.data(), static_cast<std::size_t>(size));
  }
  return text;
}

void TerminalJob::resize() const {
  winsize size{};
  checked(::ioctl(master_.get(), TIOCGWINSZ, &size), "ioctl");
  ++size.ws_row;
  checked(::ioctl(master_.get(), TIOCSWINSZ, &size), "ioctl");
}

void TerminalJob::go_on() const { checked(::kill(-pid_, SIGCONT), "kill"); }

SessionLeader::SessionLeader(const Program& program) : master_(new_terminal()) {
  const std::string terminal_name = ::ptsname(master_.get());
  parent_.emplace([&] {
    master_ = Descriptor();  // or its terminal would never go away
    const auto leader = checked(::fork(), "fork");
    if (leader == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::setsid();
      become(program, checked(::open(terminal_name.c_str(), O_RDWR | O_CLOEXEC), "open"));
    }
    events_.send(std::to_string(leader));
    int status = 0;
    ::waitpid(leader, &status, 0);
    events_.send(text_of_end(status));
    return 0;
  });
  const auto first = events_.receive(limit);
  if (!first) throw std::runtime_error("no program in the terminal");
  pid_ = std::stoi(*first);
}

}  // namespace redismutex::testing
