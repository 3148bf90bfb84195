#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "allocations.hpp"
#include "lockers.hpp"
#include "modes.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::bench {
namespace {

using testing::ChildProcess;
using Command = std::vector<std::string>;

constexpr std::chrono::minutes limit{3};
const std::string key = "bench:cost";
constexpr Bar instruction_bar{Bar::Kind::at_most, 2.0};
constexpr Bar allocation_bar{Bar::Kind::at_most, 2.0};
constexpr Bar system_call_bar{Bar::Kind::at_most, 0.1};  // more than the floor's

/// What happens in a run with so many pairs is a part for starting up, and a part for each pair: two runs tell them apart.
constexpr int few = 500;
constexpr int many = 2500;

double per_pair(double with_few, double with_many) { return (with_many - with_few) / (many - few); }

/// This program, with nothing to do but so many pairs: see main.cpp.
Command only_pairs(const std::string& client, const std::string& url, int pairs) {
  return {std::filesystem::read_symlink("/proc/self/exe"), "do-pairs", client, url, std::to_string(pairs)};
}

/// What the program prints to stderr; nothing if it can not be run.
std::optional<std::string> run_under(Command tool, const Command& program) {
  tool.insert(tool.end(), program.begin(), program.end());
  const ChildProcess child{testing::Program{.arguments = std::move(tool)}};
  const auto ended = child.wait(limit);
  if (ended == testing::exited(0)) return child.stderr_text();
  std::cout << "... " << (ended == testing::exited(127) ? "" : "cannot be run under a tool: ") << child.stderr_text();
  return std::nullopt;
}

std::optional<double> system_calls(const std::string& client, const std::string& url, int pairs) {
  const testing::TempDir directory;
  const std::string summary = directory.file("summary");
  if (!run_under({"strace", "-f", "-c", "-U", "calls,name", "-o", summary}, only_pairs(client, url, pairs))) return {};
  std::ifstream lines{summary};
  double calls = 0;
  std::string name;
  for (std::string line; std::getline(lines, line);) {
    if (std::istringstream words{line}; words >> calls >> name && name == "total") return calls;
  }
  return std::nullopt;
}

std::optional<double> instructions(const std::string& client, const std::string& url, int pairs) {
  const auto said =
      run_under({"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"}, only_pairs(client, url, pairs));
  if (!said) return std::nullopt;
  std::smatch found;
  if (!std::regex_search(*said, found, std::regex{"Collected : ([0-9]+)"})) return std::nullopt;
  return std::stod(found[1]);
}

using Counter = std::optional<double> (*)(const std::string&, const std::string&, int);

std::optional<double> counted_per_pair(Counter counter, const std::string& client, const std::string& url) {
  const auto with_few = counter(client, url, few);
  const auto with_many = with_few ? counter(client, url, many) : std::nullopt;
  return with_many ? std::optional{per_pair(*with_few, *with_many)} : std::nullopt;
}

double allocations_per_pair(const std::string& client, const std::string& url) {
  const auto locker = make_locker(client, url);
  for (int pair = 0; pair < few; ++pair) locker->lock_and_unlock(key);
  const AllocationCount count;
  for (int pair = 0; pair < many; ++pair) locker->lock_and_unlock(key);
  return static_cast<double>(count.so_far()) / many;
}

Cell cell(const std::optional<double>& number, int decimals) {
  return number ? Cell{*number, decimals} : Cell{"not measured"};
}

}  // namespace

void run_cost(Run& run) {
  Table table{
      "cost", "What one pair costs the client", {"way", "client", "system calls", "instructions", "allocations"}};
  for (const auto& [way, url] : run.ways()) {
    std::vector<std::optional<double>> calls;
    std::vector<std::optional<double>> work;
    std::vector<double> memory;
    for (const char* client : {"ours", "floor"}) {
      run.report.say("cost of " + std::string{client} + " over " + way);
      calls.push_back(counted_per_pair(system_calls, client, url));
      work.push_back(counted_per_pair(instructions, client, url));
      memory.push_back(allocations_per_pair(client, url));
      table.rows.push_back({way, client, cell(calls.back(), 2), cell(work.back(), 0), {memory.back(), 2}});
    }
    if (calls[0] && calls[1])
      run.report.hold("system calls a pair, " + way + ", - floor", *calls[0] - *calls[1], system_call_bar);
    if (work[0] && work[1])
      run.report.hold("instructions a pair, " + way + ", x floor", *work[0] / *work[1], instruction_bar);
    run.report.hold("allocations a pair, " + way + ", x floor", memory[0] / memory[1], allocation_bar);
  }
  run.report.add(std::move(table));
}

}  // namespace redismutex::bench
