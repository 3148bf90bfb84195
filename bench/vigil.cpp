#include "vigil.hpp"

#include <sys/types.h>

#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "server_work.hpp"
#include "support/eventually.hpp"
#include "support/process.hpp"
#include "waiters.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;
using Clock = std::chrono::steady_clock;

constexpr auto limit = 120s;
constexpr auto length = 20s;

/// What can be read at any time, to be compared with a later reading.
struct Reading {
  Clock::time_point time = Clock::now();
  double commands;
  double client_seconds;
  double server_seconds;

  Reading(testing::Server& server, pid_t client)
      : commands{commands_of_waiters(server)},
        client_seconds{Seconds{cpu_time_of(client)}.count()},
        server_seconds{ServerWork::of(server).seconds} {}
};

}  // namespace

Vigil keep_vigil(testing::Server& server, const std::string& program, int threads, std::chrono::milliseconds delay) {
  const auto keys = [&] { return server.command({"DBSIZE"}).integer; };
  const auto keys_before = keys();
  const testing::ChildProcess part{testing::Program{
      .arguments = {program, "wait-in-line", server.url(), std::to_string(threads), std::to_string(delay.count())}}};
  std::string name;
  double waiting = 0;
  pid_t client = 0;
  const auto is_ready = [&] {
    std::istringstream printed{part.stdout_text()};
    return bool{printed >> name >> waiting >> name >> client} || !part.running();
  };
  if (!testing::eventually(limit, is_ready) || client == 0) {
    throw std::runtime_error{"wait-in-line failed: " + part.stderr_text()};
  }
  // For each a lock and a line.
  const auto all = keys_before + threads + static_cast<long long>(waiting);
  if (!testing::eventually(limit, [&] { return keys() >= all; })) throw std::runtime_error{"they do not wait"};
  std::this_thread::sleep_for(4 * delay);  // until they have found their rhythm

  const Reading before{server, client};
  std::this_thread::sleep_for(length);
  const Reading after{server, client};
  const double seconds = Seconds{after.time - before.time}.count();
  return {.waiting = waiting,
          .commands_a_round = (after.commands - before.commands) / (seconds / Seconds{delay}.count()),
          .client_percent = 100 * (after.client_seconds - before.client_seconds) / seconds,
          .server_percent = 100 * (after.server_seconds - before.server_seconds) / seconds};
}

}  // namespace redismutex::bench
