#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "counts.hpp"
#include "modes.hpp"
#include "programs.hpp"

namespace redismutex::bench {
namespace {

constexpr Bar instruction_bar{Bar::Kind::at_most, 2.0};
constexpr Bar allocation_bar{Bar::Kind::at_most, 2.0};
constexpr Bar system_call_bar{Bar::Kind::at_most, 0.1};  // more than the floor's

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
      const PairProgram program{this_program(), client, url};
      calls.push_back(system_calls_of_pair(program));
      work.push_back(instructions_of_pair(program));
      memory.push_back(allocations_of_pair(program));
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
