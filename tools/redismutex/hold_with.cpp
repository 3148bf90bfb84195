#include "hold_with.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "boot_clock.hpp"
#include "ending_signal.hpp"
#include "event.hpp"
#include "failures.hpp"
#include "hold_lock.hpp"
#include "lease_timing.hpp"
#include "named_server.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "watched_process.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

/// One end of the connection between the process that was called and lock-holder. The latter sends what is to be printed, and gets
/// an answer once it is.
class Talk {
 public:
  explicit Talk(int descriptor) : descriptor_{descriptor} {}

  static std::pair<Talk, Talk> pair() {
    std::array<int, 2> ends{};
    checked(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
    return {Talk{ends[0]}, Talk{ends[1]}};
  }

  int descriptor() const noexcept { return descriptor_.get(); }
  void close() noexcept { descriptor_.close(); }

  bool say(const std::string& text) const noexcept {
    return ::send(descriptor_.get(), text.data(), text.size(), MSG_NOSIGNAL) >= 0;
  }

  /// Empty: nobody has the other end any more.
  std::string hear() const {
    constexpr std::size_t longest = 64 * 1024;  // more than an announcement can have
    std::string text(longest, '\0');
    const auto size = ::recv(descriptor_.get(), text.data(), text.size(), 0);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return text;
  }

  /// Whether the other has gone, or has said something.
  bool has_news() const noexcept {
    pollfd news{descriptor_.get(), POLLIN, 0};
    return ::poll(&news, 1, 0) > 0;
  }

 private:
  Descriptor descriptor_;
};

constexpr auto is_printed = "printed";

// ---- lock-holder ----------------------------------------------------------------------------------------------------

void point_to_null(int number) {
  const Descriptor null{checked(::open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null")};
  checked(::dup2(null.get(), number), "dup2");
}

/// A pipe or a lock of the caller's would not end for as long as this process lives.
void close_all_but(std::array<int, 2> kept) {
  std::sort(kept.begin(), kept.end());
  auto next = static_cast<unsigned>(STDERR_FILENO + 1);
  for (const int number : kept) {
    const auto keep = static_cast<unsigned>(number);
    if (keep > next) ::close_range(next, keep - 1, 0);
    next = keep + 1;
  }
  ::close_range(next, ~0U, 0);
}

/// This process changes its directory, and may have to connect again.
std::vector<ConnectionOptions> with_absolute_paths(std::vector<ConnectionOptions> servers) {
  const auto make_absolute = [](std::string& path) {
    if (!path.empty()) path = std::filesystem::absolute(path).string();
  };
  for (auto& server : servers) {
    make_absolute(server.unix_socket);
    if (!server.tls) continue;
    make_absolute(server.tls->ca_file);
    make_absolute(server.tls->certificate_file);
    make_absolute(server.tls->key_file);
  }
  return servers;
}

/// Keeps the lock while the process lives, and ends the process before it could run without the lock.
class Watch {
 public:
  Watch(const Lock& lock, const LockNews& news, const WatchedProcess& process, EndingSignal& signal, LeaseTiming timing)
      : lock_{lock}, news_{news}, process_{process}, signal_{signal}, timing_{timing} {}

  /// Returns when the process has ended: whether the lock is still ours.
  bool run() {
    while (!process_.has_ended()) {
      timer_.set(act() - BootClock::now());
      wait();
    }
    return !is_lost_;
  }

 private:
  /// Does what is due, and says when the next thing is.
  BootClock::time_point act() {
    constexpr auto until_it_is_killed_again = 1s;
    const auto now = BootClock::now();
    if (!kill_at_) {
      const auto left = is_lost_ ? 0ms : lock_.lease_ends_in();
      if (left > timing_.stop_margin()) return now + left - timing_.stop_margin();
      kill_at_ = now + (left > 0ms ? std::max(left - timing_.kill_margin(), 0ms) : timing_.kill_margin());
      ask_to_end();
      process_.tell("the lock '" + lock_.key() + "' " + news_.why_stopping(lock_, is_lost_, timing_.expiry - left) +
                    "; stopping this process");
    }
    if (now < *kill_at_) return *kill_at_;
    process_.send(SIGKILL);
    return now + until_it_is_killed_again;
  }

  void wait() {
    std::array<pollfd, 4> sources{{{process_.descriptor(), POLLIN, 0},
                                   {timer_.descriptor(), POLLIN, 0},
                                   {is_lost_ ? -1 : loss_.descriptor(), POLLIN, 0},
                                   {was_asked_ ? -1 : signal_.descriptor(), POLLIN, 0}}};
    ::poll(sources.data(), sources.size(), -1);
    if (sources[2].revents != 0) {
      is_lost_ = true;
      if (kill_at_) kill_at_ = std::min(*kill_at_, BootClock::now() + timing_.kill_margin());
    }
    if (!was_asked_ && signal_.came()) {
      was_asked_ = true;
      ask_to_end();
    }
  }

  /// Also a process that stands still, which could not obey.
  void ask_to_end() const {
    process_.send(SIGTERM);
    process_.send(SIGCONT);
  }

  const Lock& lock_;
  const LockNews& news_;
  const WatchedProcess& process_;
  EndingSignal& signal_;
  LeaseTiming timing_;
  BootTimer timer_;
  Event loss_;
  std::stop_callback<std::function<void()>> told_{lock_.lost_token(), [this] { loss_.raise(); }};
  bool is_lost_ = false;
  bool was_asked_ = false;  // by a signal, which is passed on once
  std::optional<BootClock::time_point> kill_at_;
};

/// Takes the lock, and keeps it once the other process has said so. Returns the exit status.
int take_and_keep(const HoldArguments& arguments, const Signals& signals, const ProcessName& name,
                  const WatchedProcess& process, const Talk& caller) {
  const NamedServer server{arguments.servers, signals, name};
  EndingSignal signal{signals};
  auto acquirer = acquirer_for(arguments, with_absolute_paths(server.options()),
                               {{signal.descriptor(), process.descriptor(), caller.descriptor()},
                                [&] { return signal.came() || process.has_ended() || caller.has_news(); }});
  auto lock = acquirer.acquire();
  if (!lock) {
    acquirer.say_taken();
    return arguments.conflict_status;
  }
  ::setsid();  // up to here the terminal's signals were for this process, too
  if (!caller.say(announcement(*lock, arguments)) || caller.hear().empty()) return exit_status::internal_error;

  point_to_null(STDERR_FILENO);
  checked(::chdir("/"), "chdir");
  if (!Watch{*lock, acquirer.news(), process, signal, LeaseTiming{arguments.expiry}}.run())
    return exit_status::lock_lost;
  return give_back(*lock);
}

int be_lock_holder(const HoldArguments& arguments, const Signals& signals, ProcessName& name,
                   const WatchedProcess& process, const Talk& caller) noexcept {
  try {
    name.set("lock-holder");
    point_to_null(STDIN_FILENO);
    point_to_null(STDOUT_FILENO);
    close_all_but({process.descriptor(), caller.descriptor()});
    return take_and_keep(arguments, signals, name, process, caller);
  } catch (const LockCancelled&) {
    if (process.has_ended()) say("process " + std::to_string(*arguments.with) + " ended before the lock was held");
    return exit_status::not_acquired;
  } catch (...) {
    return say_failure(arguments.servers.source, "redismutex hold");
  }
}

// ---- the process that was called ------------------------------------------------------------------------------------

/// The exit status of lock-holder, which has not got the lock, or has given it back.
int status_of(pid_t holder) {
  int status = 0;
  while (::waitpid(holder, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  say("lock-holder was killed");
  return exit_status::internal_error;
}

int wait_for(pid_t holder, Talk& talk, const Signals& signals) {
  EndingSignal signal{signals};
  std::array<pollfd, 2> sources{{{talk.descriptor(), POLLIN, 0}, {signal.descriptor(), POLLIN, 0}}};
  while (true) {
    ::poll(sources.data(), sources.size(), -1);
    if (signal.came()) {
      talk.close();
      status_of(holder);
      return exit_status::ended_by_signal(signal.number());
    }
    if (sources[0].revents == 0) continue;
    const auto announcement = talk.hear();
    if (announcement.empty()) return status_of(holder);
    print(announcement);  // whether anybody reads it or not
    talk.say(is_printed);
    return 0;
  }
}

}  // namespace

int hold_with(const HoldArguments& arguments, const Signals& signals, ProcessName& name) {
  const WatchedProcess process{arguments.with.value()};
  auto [ours, holders] = Talk::pair();
  const auto holder = checked(::fork(), "fork");
  if (holder == 0) {
    ours.close();
    ::_exit(be_lock_holder(arguments, signals, name, process, holders));
  }
  holders.close();
  return wait_for(holder, ours, signals);
}

}  // namespace redismutex::cli
