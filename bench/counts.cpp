#include "counts.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <regex>
#include <sstream>
#include <vector>

#include "programs.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::bench {
namespace {

using testing::ChildProcess;
using Command = std::vector<std::string>;

constexpr std::chrono::minutes limit{3};
constexpr int few = 500;
constexpr int many = 2500;
constexpr int tries = 3;

/// The program, with nothing to do but so many pairs.
Command only_pairs(const PairProgram& program, int pairs) {
  return {program.program, "do-pairs", program.client, program.url, std::to_string(pairs)};
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

std::optional<double> system_calls(const Command& program) {
  const testing::TempDir directory;
  const std::string summary = directory.file("summary");
  if (!run_under({"strace", "-f", "-c", "-U", "calls,name", "-o", summary}, program)) return {};
  std::ifstream lines{summary};
  double calls = 0;
  std::string name;
  for (std::string line; std::getline(lines, line);) {
    if (std::istringstream words{line}; words >> calls >> name && name == "total") return calls;
  }
  return std::nullopt;
}

std::optional<double> instructions(const Command& program) {
  const auto said = run_under({"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"}, program);
  if (!said) return std::nullopt;
  std::smatch found;
  if (!std::regex_search(*said, found, std::regex{"Collected : ([0-9]+)"})) return std::nullopt;
  return std::stod(found[1]);
}

using Counter = std::optional<double> (*)(const Command&);

std::optional<double> least(Counter counter, const Command& program) {
  std::optional<double> result;
  for (int i = 0; i < tries; ++i) {
    const auto counted = counter(program);
    if (!counted) return std::nullopt;
    result = std::min(*counted, result.value_or(*counted));
  }
  return result;
}

std::optional<double> of_pair(Counter counter, const PairProgram& program) {
  const auto with_few = least(counter, only_pairs(program, few));
  const auto with_many = with_few ? least(counter, only_pairs(program, many)) : std::nullopt;
  return with_many ? std::optional{(*with_many - *with_few) / (many - few)} : std::nullopt;
}

}  // namespace

std::optional<double> system_calls_of_pair(const PairProgram& program) { return of_pair(system_calls, program); }
std::optional<double> instructions_of_pair(const PairProgram& program) { return of_pair(instructions, program); }

double allocations_of_pair(const PairProgram& program) {
  return run_part({program.program, "count-allocations", program.client, program.url, std::to_string(many)})
      .at("allocations");
}

}  // namespace redismutex::bench
