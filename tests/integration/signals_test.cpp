// Signals: handlers that interrupt system calls restart no time limit, and the library's threads take none.

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "stopwatch.hpp"
#include "support/certificates.hpp"
#include "support/channel.hpp"
#include "support/process.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

void has_come(int /*signal*/) {}

/// From now on this process gets SIGALRM each millisecond.
void interrupt_each_millisecond(int flags) {
  struct sigaction action {};
  action.sa_handler = has_come;
  action.sa_flags = flags;
  ::sigaction(SIGALRM, &action, nullptr);
  const itimerval each_millisecond{.it_interval = {.tv_sec = 0, .tv_usec = 1000},
                                   .it_value = {.tv_sec = 0, .tv_usec = 1000}};
  ::setitimer(ITIMER_REAL, &each_millisecond, nullptr);
}

struct Way {
  const char* name;
  std::string (*url)(const Server& server);
  int flags;
};

void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

struct Interrupted : ::testing::TestWithParam<Way> {
  static const Certificates& certificates() {
    static const Certificates made;
    return made;
  }

  static std::string unix_socket(const Server& server) { return server.url(); }
  static std::string tcp(const Server& server) { return server.tcp_url(); }
  static std::string tls(const Server& server) { return server.tls_url() + "?ca_file=" + certificates().ca_file(); }

  Server server{{.tcp = true, .tls = certificates().tls(certificates().server())}};
};

// The server stands still. A release, an attempt, a wait and a destructor end when their time is up, as they do without signals.
TEST_P(Interrupted, TimeLimitsEndWhenTheyShould) {
  constexpr Timeouts timeouts{.connect = 200ms, .command = 200ms};
  constexpr auto late_ms = 1'000;
  Channel from_child, to_child;
  const ChildProcess child([&] {
    const auto connection = connect(GetParam().url(server), timeouts);
    const RedisMutex mutex{connection, {.block_time = 300ms, .delay = 10ms, .expiry = limit}};
    std::vector<Connection> others;  // each fails once: then it has no link any more
    for (int i = 0; i < 3; ++i) {
      others.push_back(connect(GetParam().url(server), timeouts));
      others.back().ping();
    }
    auto released = mutex.acquire_lock("released");
    std::optional<Lock> destroyed{RedisMutex{others[0], non_blocking}.acquire_lock("destroyed")};
    from_child.send("ready");
    to_child.receive(limit);
    interrupt_each_millisecond(GetParam().flags);
    int late = 0;
    const auto takes = [&](long long most_ms, const auto& what) {
      const Stopwatch watch;
      try {
        what();
      } catch (const Error&) {  // as it should
      }
      if (watch.elapsed_ms() > most_ms + late_ms) ++late;
    };
    takes(timeouts.command.count(), [&] { released.release(); });
    takes(timeouts.sum().count(), [&] { destroyed.reset(); });
    takes(300, [&] {
      RedisMutex{others[1], {.block_time = 300ms, .delay = 10ms}}.acquire_lock("waited for").release();
    });
    takes(timeouts.sum().count(), [&] { RedisMutex{others[2], non_blocking}.acquire_lock("tried").release(); });
    return late;
  });
  ASSERT_EQ(from_child.receive(limit), "ready");
  server.pause();
  to_child.send("paused");
  EXPECT_EQ(child.wait(limit), exited(0)) << "the number of those that were late";
  server.resume();
}

INSTANTIATE_TEST_SUITE_P(Each, Interrupted,
                         ::testing::Values(Way{"Unix", Interrupted::unix_socket, 0},
                                           Way{"UnixRestarting", Interrupted::unix_socket, SA_RESTART},
                                           Way{"Tcp", Interrupted::tcp, 0},
                                           Way{"TcpRestarting", Interrupted::tcp, SA_RESTART},
                                           Way{"Tls", Interrupted::tls, 0},
                                           Way{"TlsRestarting", Interrupted::tls, SA_RESTART}),
                         [](const auto& each) { return each.param.name; });

// A program that wants its SIGTERM from a descriptor blocks it, perhaps after its first lock. Were it not blocked in the
// library's threads too, it would end the program.
TEST(Signals, AreBlockedInTheLibrarysThreads) {
  Server server({.tcp = true});
  const ChildProcess child([&] {
    ConnectionOptions options = parse_url(server.tcp_url());
    options.host = "no-such-host.invalid";  // is looked up in a thread
    try {
      Connection{options}.ping();
    } catch (const ConnectionError&) {
    }
    const Connection connection{server.tcp_url()};
    const auto lock = RedisMutex{connection, {.expiry = limit, .auto_renew = true}}.acquire_lock("key");
    const std::stop_callback on_loss{lock.lost_token(), [] {}};
    // Somebody else waits: all threads that there can be are needed.
    const auto waits = RedisMutex{connection, {.block_time = 200ms, .delay = 10ms}}.try_acquire_lock("key");
    if (waits) return 1;
    sigset_t term;
    ::sigemptyset(&term);
    ::sigaddset(&term, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &term, nullptr);
    const int fd = ::signalfd(-1, &term, SFD_CLOEXEC);
    ::kill(::getpid(), SIGTERM);
    pollfd polled{fd, POLLIN, 0};
    return ::poll(&polled, 1, static_cast<int>(limit.count())) == 1 ? 0 : 2;
  });
  EXPECT_EQ(child.wait(2 * limit), exited(0));
}

}  // namespace
}  // namespace redismutex::testing
