#include <optional>
#include <string>
#include <string_view>

#include "counts.hpp"
#include "modes.hpp"
#include "programs.hpp"

namespace redismutex::bench {
namespace {

// Over a unix socket a reader polls first. What the rest is held to is another version: see reference.cpp.
constexpr Bar tcp_bar{Bar::Kind::at_most, 4.1};
constexpr Bar unix_bar{Bar::Kind::at_most, 6.1};

Cell cell(const std::optional<double>& number, int decimals) {
  return number ? Cell{*number, decimals} : Cell{"not measured"};
}

}  // namespace

void run_cost(Run& run) {
  Table table{
      "cost", "What one pair costs the client", {"way", "client", "system calls", "instructions", "allocations"}};
  for (const auto& [way, url] : run.ways()) {
    for (const char* client : {"ours", "floor"}) {
      run.report.say("cost of " + std::string{client} + " over " + way);
      const PairProgram program{this_program(), client, url};
      const std::optional<double> calls = system_calls_of_pair(program);
      table.rows.push_back(
          {way, client, cell(calls, 2), cell(instructions_of_pair(program), 0), {allocations_of_pair(program), 2}});
      const bool is_ours = std::string_view{client} == "ours";
      if (is_ours && calls) {
        run.report.hold("system calls a pair, " + way, *calls, url.starts_with("unix:") ? unix_bar : tcp_bar);
      }
    }
  }
  run.report.add(std::move(table));
}

}  // namespace redismutex::bench
