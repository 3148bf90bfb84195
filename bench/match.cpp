#include "match.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "net/poll.hpp"
#include "programs.hpp"
#include "raw_connection.hpp"
#include "redis_py.hpp"
#include "statistics.hpp"
#include "support/eventually.hpp"
#include "support/posix.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;
using testing::ChildProcess;

/// The one with this number, from 0.
testing::Program process_of(const std::string& client, const std::string& url, const Game& game, int number,
                            const std::string& go) {
  std::vector<std::string> arguments{url, game.key, std::to_string(game.hold.count()),
                                     std::to_string(game.pause.count()), go};
  if (client == "redis-py Lock") {
    auto program = redis_py_program({"turns"});
    program.arguments.insert(program.arguments.end(), arguments.begin(), arguments.end());
    return program;
  }
  arguments.push_back(std::to_string(game.connections));
  arguments.push_back(std::to_string(game.threads));
  for (const int together : game.taking_part) {
    arguments.push_back(std::to_string((together + number) / game.processes));
  }
  testing::Program program{.arguments = {game.program.empty() ? this_program() : game.program, "take-turns", client}};
  program.arguments.insert(program.arguments.end(), arguments.begin(), arguments.end());
  return program;
}

void wait_until_ready(const std::string& client, const ChildProcess& process) {
  if (!testing::eventually(60s, [&] { return !process.stdout_text().empty() || !process.running(); }) ||
      !process.running()) {
    throw std::runtime_error{client + " does not get ready: " + process.stderr_text()};
  }
}

}  // namespace

std::size_t Match::count() const {
  return std::accumulate(turns.begin(), turns.end(), std::size_t{0},
                         [](std::size_t sum, const std::vector<Turn>& one) { return sum + one.size(); });
}

Match play(const std::string& client, const std::string& url, const Game& game, const Spectator& spectator) {
  const testing::TempDir directory;
  const std::string go = directory.file("go");
  const testing::Descriptor file{testing::checked(::open(go.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), go.c_str())};
  testing::checked(::flock(file.get(), LOCK_EX), go.c_str());
  std::vector<ChildProcess> processes;
  for (int i = 0; i < game.processes; ++i) processes.emplace_back(process_of(client, url, game, i, go));
  for (const ChildProcess& process : processes) wait_until_ready(client, process);

  Match match{.start = monotonic_now() + std::chrono::nanoseconds{100ms + game.processes * 1ms}.count()};
  match.end = match.start + std::chrono::nanoseconds{game.length}.count();
  std::ofstream{go} << match.start << ' ' << match.end << '\n';
  ::flock(file.get(), LOCK_UN);
  const auto over = [&] {
    return monotonic_now() > match.end && std::none_of(processes.begin(), processes.end(),
                                                       [](const ChildProcess& process) { return process.running(); });
  };
  spectator(over);

  for (const ChildProcess& process : processes) {
    if (process.wait(90s) != testing::exited(0)) throw std::runtime_error{client + " failed: " + process.stderr_text()};
    match.turns.push_back(parse_turns(process.stdout_text()));
  }
  return match;
}

Spectator ping_into(std::vector<double>& round_trips, const std::string& url) {
  return [&round_trips, url](const std::function<bool()>& over) {
    RawConnection connection{url};
    while (!over()) {
      const Nanoseconds before = monotonic_now();
      connection.command({"PING"});
      round_trips.push_back(static_cast<double>(monotonic_now() - before) / 1000);
      std::this_thread::sleep_for(10ms);
    }
  };
}

/// A line of MONITOR is `1700000000.000000 [0 127.0.0.1:1234] "set" ...`, or `[0 lua]` if a script did it.
Spectator count_commands_into(long& commands, const std::string& url) {
  return [&commands, url](const std::function<bool()>& over) {
    RawConnection connection{url};
    connection.command({"MONITOR"});
    for (;;) {
      const bool last = over();
      while (const net::Reply line = connection.next(20ms)) {
        const std::string text{(*line).text()};
        const std::string from = text.substr(0, text.find(']'));
        if (from.find(':') != std::string::npos) ++commands;
      }
      if (last) return;
    }
  };
}

std::vector<double> times_us(const std::vector<HandOver>& hand_overs) {
  std::vector<double> times;
  for (const HandOver& one : hand_overs) times.push_back(one.us);
  return times;
}

Summary summarize(const Match& match) {
  Summary summary;
  std::vector<Turn> all;
  std::vector<double> shares;
  for (const auto& turns : match.turns) {
    all.insert(all.end(), turns.begin(), turns.end());
    shares.push_back(static_cast<double>(
        std::count_if(turns.begin(), turns.end(), [&](const Turn& turn) { return turn.entered < match.end; })));
  }
  std::sort(all.begin(), all.end(), [](const Turn& a, const Turn& b) { return a.entered < b.entered; });
  std::vector<Nanoseconds> asked;
  for (const Turn& turn : all) asked.push_back(turn.asked);
  std::sort(asked.begin(), asked.end());
  Nanoseconds inside = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Turn& turn = all[i];
    inside += std::max<Nanoseconds>(0, std::min(turn.leaving, match.end) - turn.entered);
    summary.waits_ms.push_back(static_cast<double>(turn.entered - turn.asked) / 1e6);
    if (i == 0) continue;
    const Nanoseconds released = all[i - 1].leaving;
    if (turn.entered < released) ++summary.overlaps;
    if (turn.asked >= released) continue;
    const auto had_asked =
        static_cast<std::size_t>(std::lower_bound(asked.begin(), asked.end(), released) - asked.begin());
    summary.hand_overs.push_back({.us = static_cast<double>(turn.entered - released) / 1e3,
                                  .waiting = had_asked - i,
                                  .to_a_new_one = turn.first});
  }
  const auto length = static_cast<double>(match.end - match.start);
  summary.turns_a_second = std::accumulate(shares.begin(), shares.end(), 0.0) / (length / 1e9);
  summary.inside_share = static_cast<double>(inside) / length;
  summary.fairness = jain_index(shares);
  return summary;
}

}  // namespace redismutex::bench
