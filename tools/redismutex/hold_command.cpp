#include "hold_command.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <stop_token>

#include "ending_signal.hpp"
#include "event.hpp"
#include "failures.hpp"
#include "hold_lock.hpp"
#include "hold_with.hpp"
#include "named_server.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"

namespace redismutex::cli {
namespace {

constexpr auto command_name = "redismutex hold";

/// Standard input, as far as its end says something.
class Input {
 public:
  /// Asked before each poll(): -1 while it is not to be read.
  int descriptor() const { return tells_ && !belongs_to_others() ? STDIN_FILENO : -1; }

  /// When to ask again, for poll(): whether a terminal is ours can change without anything to wait for.
  int patience() const { return tells_ && belongs_to_others() ? 1000 : -1; }

  /// Once it can be read: whether this is the end.
  bool ends() {
    std::array<char, 4096> unused{};
    const auto size = ::read(STDIN_FILENO, unused.data(), unused.size());
    if (size < 0 && errno != EAGAIN && errno != EINTR && !belongs_to_others()) tells_ = false;
    return size == 0;
  }

 private:
  /// Whoever starts something in the background gives it /dev/null to read from (shells, cron, nohup), which ends at once. We
  /// have put it there ourselves where there was nothing.
  static bool is_null_device() {
    struct stat status {};
    return ::fstat(STDIN_FILENO, &status) != 0 || (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3));
  }

  /// What is typed at a terminal is for the job in its foreground.
  bool belongs_to_others() const { return is_terminal_ && ::tcgetpgrp(STDIN_FILENO) != ::getpgrp(); }

  bool tells_ = !is_null_device();
  bool is_terminal_ = ::isatty(STDIN_FILENO) == 1;
};

/// Until a signal comes, or the end of the input: true. False: the lock was lost.
bool keep_until_ended(const Lock& lock, EndingSignal& signal) {
  Event loss;
  const std::stop_callback told{lock.lost_token(), [&] { loss.raise(); }};
  Input input;
  while (true) {
    std::array<pollfd, 3> sources{
        {{signal.descriptor(), POLLIN, 0}, {loss.descriptor(), POLLIN, 0}, {input.descriptor(), POLLIN, 0}}};
    ::poll(sources.data(), sources.size(), input.patience());
    if (sources[1].revents != 0) return false;
    if (sources[2].revents != 0 && input.ends()) return true;
    if (signal.came()) return true;
  }
}

int hold_until_told(Lock& lock, const LockNews& news, const HoldArguments& arguments, EndingSignal& signal) {
  if (!print(announcement(lock, arguments))) return exit_status::ended_by_signal(SIGPIPE);
  if (keep_until_ended(lock, signal)) return give_back(lock);
  say("the lock '" + lock.key() + "' " + news.why_stopping(lock, true, {}));
  return exit_status::lock_lost;
}

int hold_for_a_time(Lock& lock, const HoldArguments& arguments) {
  lock.extend();  // the whole time from now on, also of a lock that was waited for
  if (!print(announcement(lock, arguments))) return exit_status::ended_by_signal(SIGPIPE);
  lock.leave();
  return 0;
}

int hold(const HoldArguments& arguments, const Signals& signals, ProcessName& name) {
  if (arguments.with) return hold_with(arguments, signals, name);
  const NamedServer server{arguments.servers, signals, name};
  EndingSignal signal{signals};
  auto acquirer = acquirer_for(arguments, server.options(), {{signal.descriptor()}, [&] { return signal.came(); }});
  std::optional<Lock> lock;
  try {
    lock = acquirer.acquire();
  } catch (const LockCancelled&) {
    return exit_status::ended_by_signal(signal.number());
  }
  if (lock)
    return arguments.lease ? hold_for_a_time(*lock, arguments)
                           : hold_until_told(*lock, acquirer.news(), arguments, signal);
  acquirer.say_taken();
  return arguments.conflict_status;
}

}  // namespace

int hold_command(const HoldArguments& arguments, const Signals& signals, ProcessName name) noexcept {
  try {
    return hold(arguments, signals, name);
  } catch (...) {
    return say_failure(arguments.servers.source, command_name);
  }
}

}  // namespace redismutex::cli
