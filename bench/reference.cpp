#include "reference.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "alternation.hpp"
#include "counts.hpp"
#include "match.hpp"
#include "placement.hpp"
#include "programs.hpp"
#include "standing.hpp"
#include "statistics.hpp"
#include "vigil.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;
using Of = Standard::Of;
using Kind = Bar::Kind;

/// Of one round of one version, in the order of the standings that they belong to.
using Figures = std::vector<double>;

/// Both versions, and how they stand so far.
class Comparing {
 public:
  Comparing(Run& run, const Comparison& comparison) : run_{run}, comparison_{comparison} {}

  testing::Server& server() { return run_.server; }
  auto ways() const { return run_.ways(); }
  int rounds() const { return comparison_.rounds; }

  /// For what noise hardly touches.
  int few_rounds() const { return std::max(1, comparison_.rounds / 5); }

  /// Has `measure` yield figures for all of these standings, each round, of either version. A round in which one of them fails
  /// counts for neither, unless that one always fails. Nothing is said of what failed in more than half of the rounds.
  void add(std::vector<Standing> standings, int rounds,
           const std::function<Figures(const std::string& program)>& measure) {
    run_.report.say(standings.front().what);
    std::array<Rounds, 2> measured;
    by_turns(2, rounds, [&](std::size_t which) {
      Rounds& own = measured.at(which);
      const bool is_hopeless = std::count(own.begin(), own.end(), std::nullopt) >= most_failures;
      own.push_back(is_hopeless ? std::nullopt : attempt(which, measure));
    });
    const auto& [present, reference] = measured;
    const bool has_present = has_any(present);
    const bool has_reference = has_any(reference);
    int complete = 0;
    for (std::size_t round = 0; round < present.size(); ++round) {
      if (present[round].has_value() != has_present || reference[round].has_value() != has_reference) continue;
      ++complete;
      for (std::size_t i = 0; i < standings.size(); ++i) {
        if (has_present) standings[i].present.push_back(present[round]->at(i));
        if (has_reference) standings[i].reference.push_back(reference[round]->at(i));
      }
    }
    for (Standing& standing : standings) {
      if (complete * 2 < rounds) {
        standing.present.clear();
        standing.reference.clear();
      }
      rows_.push_back(row_of(standing));
    }
  }

  /// The same of one figure.
  void add(Standing standing, int rounds, const std::function<double(const std::string& program)>& measure) {
    add(std::vector{std::move(standing)}, rounds,
        [&](const std::string& program) { return Figures{measure(program)}; });
  }

  void say(const std::string& text) const { run_.report.say(text); }

  void report() {
    Table table{"reference",
                "This version beside the reference: medians of " + std::to_string(rounds()) +
                    " rounds or more in turns, " + std::to_string(few_rounds()) +
                    " of what noise hardly touches; the spread is where the median of what the bar is about lies, 19 "
                    "times out of 20",
                {"", "this", "reference", "ratio", "spread", "bar", "verdict"}};
    table.rows = std::move(rows_);
    run_.report.add(std::move(table));
  }

 private:
  using Rounds = std::vector<std::optional<Figures>>;

  static constexpr int most_failures = 3;  // before there is no use in trying on

  static bool has_any(const Rounds& rounds) {
    return std::any_of(rounds.begin(), rounds.end(), [](const auto& figures) { return figures.has_value(); });
  }

  std::optional<Figures> attempt(std::size_t which, const std::function<Figures(const std::string& program)>& measure) {
    const bool is_present = which == 0;
    try {
      server().command({"FLUSHALL"});
      return measure(is_present ? comparison_.present : comparison_.reference);
    } catch (const std::exception& error) {
      run_.report.say((is_present ? "this version: " : "the reference: ") + std::string{error.what()});
      return std::nullopt;
    }
  }

  Run& run_;
  const Comparison& comparison_;
  std::vector<std::vector<Cell>> rows_;
};

/// What can be placed, and how to say so.
const std::array<std::pair<Placement, std::string>, 2> placements{
    {{Placement::together, "one processor"}, {Placement::apart, "two processors"}}};

const std::array<std::pair<std::string, std::string>, 2> kinds_of_client{
    {{"ours", ""}, {"ours-listening", ", listener"}}};

void compare_pairs(Comparing& comparing) {
  for (const auto& [placement, where] : placements) {
    if (!is_possible(placement)) continue;
    const Placed placed{comparing.server().pid(), placement};
    for (const auto& [way, url] : comparing.ways()) {
      for (const auto& [client, listener] : kinds_of_client) {
        comparing.add({"pair, " + way + listener + ", " + where + ", us", 1, {Of::ratio, {Kind::at_most, 1.02}}},
                      comparing.rounds() * 2, [&, &client = client, &url = url](const std::string& program) {
                        return run_part({program, "time-pairs", client, url, "700"}).at("pair_us");
                      });
      }
    }
  }
}

void compare_counts(Comparing& comparing) {
  const auto counted = [](std::optional<double> count) {
    if (!count) throw std::runtime_error{"cannot be counted"};
    return *count;
  };
  for (const auto& [way, url] : comparing.ways()) {
    for (const auto& [client, listener] : kinds_of_client) {
      comparing.add({"instructions of a pair, " + way + listener, 0, {Of::ratio, {Kind::at_most, 1.0}}}, 1,
                    [&, &client = client, &url = url](const std::string& program) {
                      return counted(instructions_of_pair({program, client, url}));
                    });
    }
  }
  for (const auto& [way, url] : comparing.ways()) {
    const double most = way == "unix socket" ? 6.1 : 4.1;
    comparing.add({"system calls of a pair, " + way, 2, {Of::itself, {Kind::at_most, most}}}, 1,
                  [&, &url = url](const std::string& program) {
                    return counted(system_calls_of_pair({program, "ours", url}));
                  });
    comparing.add({"allocations of a pair, " + way, 2, {Of::itself, {Kind::at_most, 4}}}, comparing.few_rounds(),
                  [&url = url](const std::string& program) {
                    return allocations_of_pair({program, "ours", url});
                  });
  }
}

/// Beside the versions, each of which shares one connection, the same commands sent bare over a connection for each thread.
void compare_threads(Comparing& comparing) {
  for (const auto& [way, url] : comparing.ways()) {
    const auto work = [&url = url](const std::string& program, const std::string& client) {
      return run_part({program, "work-in-threads", client, url, "64", "250"});
    };
    const std::string what = "64 threads, " + way + ", ";
    comparing.add({{what + "pairs/s", 0, {Of::ratio, {Kind::at_least, 1.0}}},
                   {what + "x 64 bare connections (aim)", 2, {Of::itself, {Kind::at_least, 2.0}}},
                   {what + "processor time of a pair, us", 1, {Of::ratio, {Kind::at_most, 1.0}}}},
                  comparing.rounds() * 2, [&](const std::string& program) {
                    auto ours = work(program, "ours");
                    const double bare = work(this_program(), "floor").at("pairs_a_second");
                    return Figures{ours["pairs_a_second"], ours["pairs_a_second"] / bare, ours["cpu_us"]};
                  });
  }
}

const Spectator nobody = [](const std::function<bool()>&) {};

/// From a release to the entry of one who was inside before: memory that is touched for the first time counts for the first ones.
double hand_over_us(const std::string& url, const Game& game) {
  std::vector<double> times;
  for (const HandOver& one : summarize(play("ours-patient", url, game, nobody)).hand_overs) {
    if (!one.to_a_new_one) times.push_back(one.us);
  }
  if (times.empty()) throw std::runtime_error{"no hand-over"};
  return median(times);
}

void compare_hand_overs(Comparing& comparing) {
  struct Crowd {
    int processes;
    int connections;  // of each process
    std::chrono::milliseconds length;
  };
  const Placed placed{comparing.server().pid(), Placement::together};
  for (const Crowd& crowd : {Crowd{3, 1, 600ms}, Crowd{9, 1, 600ms}, Crowd{13, 5, 800ms}, Crowd{3, 167, 2500ms}}) {
    const int waiting = crowd.processes * crowd.connections - 1;
    comparing.add({"release to the next inside, " + std::to_string(waiting) + " waiting, us",
                   0,
                   {Of::ratio, {Kind::at_most, 1.0}}},
                  comparing.rounds(), [&](const std::string& program) {
                    return hand_over_us(comparing.server().url(), {.processes = crowd.processes,
                                                                   .connections = crowd.connections,
                                                                   .hold = 2ms,
                                                                   .pause = 0ms,
                                                                   .length = crowd.length,
                                                                   .key = "bench:hand-over",
                                                                   .program = program});
                  });
  }
}

void compare_within(Comparing& comparing) {
  comparing.add({"eight threads on one key, turns/s", 0, {Of::ratio, {Kind::at_least, 0.95}}}, comparing.rounds(),
                [&](const std::string& program) {
                  return summarize(play("ours-patient", comparing.server().url(),
                                        {.processes = 1,
                                         .threads = 8,
                                         .hold = 0ms,
                                         .pause = 0ms,
                                         .length = 700ms,
                                         .key = "bench:within",
                                         .program = program},
                                        nobody))
                      .turns_a_second;
                });
}

void compare_contention(Comparing& comparing) {
  const std::string url = comparing.server().url();
  const auto game_of = [](const std::string& program) { return Game{.length = 2500ms, .program = program}; };
  for (const auto& [placement, where] :
       {std::pair{Placement::together, "one processor"}, {Placement::anywhere, "any"}}) {
    const Placed placed{comparing.server().pid(), placement};
    const std::string what = "contention, " + std::string{where} + ", ";
    comparing.add({{what + "somebody inside, %", 1, {Of::difference, {Kind::at_least, -0.5}}},
                   {what + "wait p99, ms", 1, {Of::ratio, {Kind::at_most, 1.0}}},
                   {what + "Jain", 4, {Of::difference, {Kind::at_least, 0}}}},
                  comparing.rounds(), [&](const std::string& program) {
                    const Summary summary = summarize(play("ours-patient", url, game_of(program), nobody));
                    return Figures{summary.inside_share * 100, percentile(summary.waits_ms, 0.99), summary.fairness};
                  });
  }
  comparing.add({"contention, commands of a turn", 2, {Of::ratio, {Kind::at_most, 1.0}}}, comparing.few_rounds(),
                [&](const std::string& program) {
                  long commands = 0;
                  const Match match = play("ours-patient", url, game_of(program), count_commands_into(commands, url));
                  return static_cast<double>(commands) / static_cast<double>(std::max<std::size_t>(match.count(), 1));
                });
}

void compare_connections(Comparing& comparing) {
  comparing.add({{"1,000 Connections, descriptors", 0, {Of::itself, {Kind::at_most, 1100}}},
                 {"1,000 Connections, threads", 0, {Of::itself, {Kind::at_most, 4}}}},
                1, [&](const std::string& program) {
                  const auto figures = run_part({program, "use-connections", comparing.server().url(), "1000"});
                  return Figures{figures.at("descriptors"), figures.at("threads")};
                });
}

void compare_grants(Comparing& comparing) {
  constexpr int wanted = 10'000;
  comparing.add({"processor time of a grant, 10,000 threads waiting, us", 0, {Of::itself, {Kind::at_most, 120}}},
                comparing.few_rounds(), [&](const std::string& program) {
                  const auto figures =
                      run_part({program, "be-granted", comparing.server().url(), std::to_string(wanted), "1000"});
                  if (figures.at("waiting") < wanted) {
                    comparing.say("with " + Cell{figures.at("waiting"), 0}.text + " threads: there can be no more");
                  }
                  return figures.at("grant_us");
                });
  // In another process, because its threads stay.
  const auto figures = run_part({this_program(), "be-woken", std::to_string(wanted), "1000"});
  comparing.say("to wake one of as many threads takes the kernel alone " + Cell{figures.at("waking_us"), 0}.text +
                " us");
}

void compare_vigils(Comparing& comparing) {
  constexpr int wanted = 10'000;
  const std::string what = "10,000 threads waiting, ";
  comparing.add({{what + "commands in 500 ms", 0, {Of::itself, {Kind::at_most, 120}}},
                 {what + "their process, % of a processor", 2, {Of::itself, {Kind::at_most, 3}}},
                 {what + "the server, % of a processor", 2, {Of::itself, {Kind::at_most, 16}}}},
                comparing.few_rounds(), [&](const std::string& program) {
                  const Vigil vigil = keep_vigil(comparing.server(), program, wanted, 500ms);
                  if (vigil.waiting < wanted) {
                    comparing.say("with " + Cell{vigil.waiting, 0}.text + " threads: there can be no more");
                  }
                  return Figures{vigil.commands_a_round, vigil.client_percent, vigil.server_percent};
                });
}

const std::vector<std::pair<std::string, void (*)(Comparing&)>> all_parts{{"pairs", compare_pairs},
                                                                          {"counts", compare_counts},
                                                                          {"threads", compare_threads},
                                                                          {"hand-over", compare_hand_overs},
                                                                          {"within", compare_within},
                                                                          {"contention", compare_contention},
                                                                          {"connections", compare_connections},
                                                                          {"grants", compare_grants},
                                                                          {"waiting", compare_vigils}};

}  // namespace

std::vector<std::string> part_names() {
  std::vector<std::string> names;
  for (const auto& [name, compare] : all_parts) names.push_back(name);
  return names;
}

void run_comparison(Run& run, const Comparison& comparison) {
  Comparing comparing{run, comparison};
  const auto& wanted = comparison.parts;
  for (const auto& [name, compare] : all_parts) {
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end()) compare(comparing);
  }
  comparing.report();
}

}  // namespace redismutex::bench
