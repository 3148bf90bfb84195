#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "modes.hpp"
#include "raw_connection.hpp"
#include "redis_py.hpp"
#include "statistics.hpp"
#include "support/eventually.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "turns.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;
using testing::ChildProcess;

const std::string key = "bench:contention";

std::string in_us(std::chrono::milliseconds duration) {
  return std::to_string(std::chrono::microseconds{duration}.count());
}

testing::Program process_of(const std::string& client, const std::string& url, const Contention& contention,
                            const std::string& go) {
  const std::vector<std::string> arguments{url, key, in_us(contention.hold), in_us(contention.pause), go};
  if (client == "redis-py Lock") {
    auto program = redis_py_program({"turns"});
    program.arguments.insert(program.arguments.end(), arguments.begin(), arguments.end());
    return program;
  }
  testing::Program program{.arguments = {std::filesystem::read_symlink("/proc/self/exe"), "take-turns", client}};
  program.arguments.insert(program.arguments.end(), arguments.begin(), arguments.end());
  return program;
}

/// Starts the processes, and goes on when all are ready. `observe` runs until `over()`.
struct Match {
  Nanoseconds start = 0;
  Nanoseconds end = 0;
  std::vector<std::vector<Turn>> turns{};  ///< of each process
};
using Observer = std::function<void(const std::function<bool()>& over)>;

Match play(const std::string& client, const std::string& url, const Contention& contention, const Observer& observe) {
  const testing::TempDir directory;
  const std::string go = directory.file("go");
  std::vector<ChildProcess> processes;
  for (int i = 0; i < contention.processes; ++i) processes.emplace_back(process_of(client, url, contention, go));
  for (const ChildProcess& process : processes) {
    if (!testing::eventually(30s, [&] { return !process.stdout_text().empty() || !process.running(); }) ||
        !process.running()) {
      throw std::runtime_error{client + " does not get ready: " + process.stderr_text()};
    }
  }

  Match match{.start = monotonic_now() + std::chrono::nanoseconds{100ms}.count()};
  match.end = match.start + std::chrono::nanoseconds{contention.length}.count();
  std::ofstream{go + ".new"} << match.start << ' ' << match.end << '\n';
  std::filesystem::rename(go + ".new", go);
  const auto over = [&] {
    return monotonic_now() > match.end && std::none_of(processes.begin(), processes.end(),
                                                       [](const ChildProcess& process) { return process.running(); });
  };
  observe(over);

  for (const ChildProcess& process : processes) {
    if (process.wait(90s) != testing::exited(0)) throw std::runtime_error{client + " failed: " + process.stderr_text()};
    match.turns.push_back(parse_turns(process.stdout_text()));
  }
  return match;
}

/// Sends a PING now and then, and notes how long each took, in microseconds.
Observer ping_into(std::vector<double>& round_trips, const std::string& url) {
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

/// Counts the commands of clients, which commandstats has in one sum with those that scripts call: a line of MONITOR says
/// where a command came from, `1700000000.000000 [0 127.0.0.1:1234] "set" ...` or `[0 lua]`.
Observer count_commands_into(long& commands, const std::string& url) {
  return [&commands, url](const std::function<bool()>& over) {
    RawConnection connection{url};
    connection.command({"MONITOR"});
    for (;;) {
      const bool last = over();
      while (const RawReply line = connection.next(20ms)) {
        const std::string text{line->str, line->len};
        const std::string from = text.substr(0, text.find(']'));
        if (from.find(':') != std::string::npos) ++commands;
      }
      if (last) return;
    }
  };
}

/// What a match says.
struct Summary {
  double turns_a_second = 0;
  double inside_share = 0;
  std::vector<double> waits_ms{};
  double fairness = 0;
  std::vector<double> hand_overs_us{};  ///< from the beginning of a release to the entry of one who had asked before
  int overlaps = 0;
};

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
  Nanoseconds inside = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Turn& turn = all[i];
    inside += std::max<Nanoseconds>(0, std::min(turn.leaving, match.end) - turn.entered);
    summary.waits_ms.push_back(static_cast<double>(turn.entered - turn.asked) / 1e6);
    if (i == 0) continue;
    if (turn.entered < all[i - 1].leaving) ++summary.overlaps;
    if (turn.asked < all[i - 1].leaving) {
      summary.hand_overs_us.push_back(static_cast<double>(turn.entered - all[i - 1].leaving) / 1e3);
    }
  }
  const auto length = static_cast<double>(match.end - match.start);
  summary.turns_a_second = std::accumulate(shares.begin(), shares.end(), 0.0) / (length / 1e9);
  summary.inside_share = static_cast<double>(inside) / length;
  summary.fairness = jain_index(shares);
  return summary;
}

double commands_a_turn(const std::string& client, const std::string& url, Contention contention) {
  contention.length = std::max(contention.length / 4, std::chrono::seconds{1});
  long commands = 0;
  const Match match = play(client, url, contention, count_commands_into(commands, url));
  std::size_t turns = 0;
  for (const auto& process : match.turns) turns += process.size();
  return static_cast<double>(commands) / static_cast<double>(std::max<std::size_t>(turns, 1));
}

std::string describe(const Contention& contention) {
  return std::to_string(contention.processes) + " processes take turns on one key, " +
         std::to_string(contention.hold.count()) + " ms inside, " + std::to_string(contention.pause.count()) +
         " ms outside, " + std::to_string(contention.length.count()) + " s; unix socket";
}

}  // namespace

void run_contention(Run& run, const Contention& contention) {
  Table table{"contention",
              describe(contention),
              {"client", "turns/s", "inside %", "wait p50 ms", "p99", "max", "commands/turn", "Jain",
               "release to entry us", "p99", "round trip us", "overlaps"}};
  const std::string url = run.server.url();
  for (const std::string client : {"ours-patient", "seed", "redis-py Lock"}) {
    const std::string name = client == "ours-patient" ? "ours" : client;
    run.report.say("contention: " + name);
    std::vector<double> round_trips;
    const Summary summary = summarize(play(client, url, contention, ping_into(round_trips, url)));
    const double commands = commands_a_turn(client, url, contention);
    const double longest = percentile(summary.waits_ms, 1);
    table.rows.push_back({name,
                          {summary.turns_a_second, 1},
                          {summary.inside_share * 100, 1},
                          {median(summary.waits_ms), 2},
                          {percentile(summary.waits_ms, 0.99), 1},
                          {longest, 1},
                          {commands, 2},
                          {summary.fairness, 4},
                          {median(summary.hand_overs_us), 0},
                          {percentile(summary.hand_overs_us, 0.99), 0},
                          {median(round_trips), 0},
                          {static_cast<double>(summary.overlaps), 0}});
    if (name == "ours" && contention.processes == 8 && contention.hold == 2ms && contention.pause == 2ms) {
      run.report.hold("contention: turns/s of the ideal 500", summary.turns_a_second, {Bar::Kind::at_least, 430});
      run.report.hold("contention: wait p99, ms", percentile(summary.waits_ms, 0.99), {Bar::Kind::at_most, 20});
      run.report.hold("contention: longest wait, ms", longest, {Bar::Kind::at_most, 40});
      run.report.hold("contention: commands a turn", commands, {Bar::Kind::at_most, 3.5});
      run.report.hold("contention: fairness (Jain)", summary.fairness, {Bar::Kind::at_least, 0.999});
    }
  }
  run.report.add(std::move(table));
}

}  // namespace redismutex::bench
