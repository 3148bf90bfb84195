// Measures the library beside what it is held to. See `redismutex_bench --help`.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <redismutex/version.hpp>
#include <string>
#include <thread>
#include <vector>

#include "lockers.hpp"
#include "modes.hpp"
#include "parts.hpp"
#include "reference.hpp"

namespace redismutex::bench {
namespace {

struct Wanted {
  std::vector<std::string> modes{};
  std::string json = REDISMUTEX_BENCH_RESULTS;
  int threads = 64;
  Contention contention{};
};

struct Mode {
  std::string name;
  std::function<void(Run&, const Wanted&)> measure;
};

/// In the order in which they run.
const std::vector<Mode>& all_modes() {
  static const std::vector<Mode> modes{
      {"pairs", [](Run& run, const Wanted&) { run_pairs(run); }},
      {"threads", [](Run& run, const Wanted& wanted) { run_threads(run, wanted.threads); }},
      {"cost", [](Run& run, const Wanted&) { run_cost(run); }},
      {"fencing", [](Run& run, const Wanted&) { run_fencing(run); }},
      {"leases", [](Run& run, const Wanted&) { run_leases(run); }},
      {"scale", [](Run& run, const Wanted&) { run_scale(run); }},
      {"contention", [](Run& run, const Wanted& wanted) { run_contention(run, wanted.contention); }},
      {"hand-over", [](Run& run, const Wanted&) { run_hand_over(run); }},
      {"waiting", [](Run& run, const Wanted&) { run_waiting(run); }},
      {"within", [](Run& run, const Wanted&) { run_within(run); }},
      {"async", [](Run& run, const Wanted&) { run_async(run); }},
      {"replicas", [](Run& run, const Wanted& wanted) { run_replicas(run, wanted.threads); }},
      {"quorum", [](Run& run, const Wanted&) { run_quorum(run); }},
      {"recovery", [](Run& run, const Wanted&) { run_recovery(run); }},
  };
  return modes;
}

std::vector<std::string> names_of(const std::vector<Mode>& modes) {
  std::vector<std::string> names;
  for (const Mode& mode : modes) names.push_back(mode.name);
  return names;
}

std::string load_average() {
  std::string text;
  std::getline(std::ifstream{"/proc/loadavg"}, text);
  return text;
}

/// Reports what `body` measures.
int report(const std::string& json, const std::function<void(Run&)>& body) {
  Run run;
  const auto version = run.server.version();
  run.report.fact("redismutex", REDISMUTEX_VERSION);
  run.report.fact("server", run.server.product() + " " + std::to_string(version[0]) + "." + std::to_string(version[1]) +
                                "." + std::to_string(version[2]));
  run.report.fact("processors", std::to_string(std::thread::hardware_concurrency()));
  run.report.fact("load at the start", load_average());
  body(run);
  run.report.fact("load at the end", load_average());
  run.report.print_bars();
  run.report.write_json(json);
  return EXIT_SUCCESS;
}

int measure(const Wanted& wanted) {
  const auto is_wanted = [&](const Mode& mode) {
    return wanted.modes.empty() || std::find(wanted.modes.begin(), wanted.modes.end(), mode.name) != wanted.modes.end();
  };
  return report(wanted.json, [&](Run& run) {
    for (const Mode& mode : all_modes()) {
      if (is_wanted(mode)) mode.measure(run, wanted);
    }
  });
}

int main_of(int argc, char** argv) {
  CLI::App app{
      "Measures redismutex against a server of its own ($REDISMUTEX_TEST_SERVER, else redis-server), always beside\n"
      "what it is held to: the floor, the same two commands sent bare in the calling thread."};
  Wanted wanted;
  app.add_option("mode", wanted.modes, "Which parts to run; all by default")
      ->check(CLI::IsMember(names_of(all_modes())));
  app.add_option("--json", wanted.json, "Where to write what was measured")->capture_default_str();
  app.add_option("--threads", wanted.threads, "For threads and replicas: how many")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  long hold = wanted.contention.hold.count();
  long pause = wanted.contention.pause.count();
  long length = wanted.contention.length.count();
  app.add_option("--processes", wanted.contention.processes, "For contention: how many")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--hold-ms", hold, "For contention: time inside")->check(CLI::Range(0, 60'000))->capture_default_str();
  app.add_option("--pause-ms", pause, "For contention: time outside")
      ->check(CLI::Range(0, 60'000))
      ->capture_default_str();
  app.add_option("--seconds", length, "For contention: how long")->check(CLI::Range(1, 3600))->capture_default_str();

  Comparison comparison;
  auto* compare = app.add_subcommand(
      "compare", "This version beside another; `make bench REFERENCE=...` builds both, and then calls this");
  compare->add_option("present", comparison.present, "bench/worker, built with this version")->required();
  compare->add_option("reference", comparison.reference, "The same with the other")->required();
  compare->add_option("part", comparison.parts, "What to compare; all by default")->check(CLI::IsMember(part_names()));
  compare->add_option("--rounds", comparison.rounds)->check(CLI::Range(1, 1000))->capture_default_str();

  const Parts parts{app, make_lockers};
  CLI11_PARSE(app, argc, argv);

  if (parts.run()) return EXIT_SUCCESS;
  if (*compare) {
    return report(wanted.json, [&](Run& run) { run_comparison(run, comparison); });
  }
  wanted.contention.hold = std::chrono::milliseconds{hold};
  wanted.contention.pause = std::chrono::milliseconds{pause};
  wanted.contention.length = std::chrono::seconds{length};
  return measure(wanted);
}

}  // namespace
}  // namespace redismutex::bench

int main(int argc, char** argv) try {
  return redismutex::bench::main_of(argc, argv);
} catch (const std::exception& error) {
  std::cerr << "redismutex_bench: " << error.what() << '\n';
  return EXIT_FAILURE;
}
