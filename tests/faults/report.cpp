#include "faults/report.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "histories/trace.hpp"

namespace redismutex::faults {
namespace {

using histories::Event;
using histories::History;

constexpr std::size_t most_shown = 10;
constexpr std::size_t most_events = 60;

std::string write_history(const Setting& setting, const History& history) {
  const std::string name =
      "redismutex-" + std::string{setting.profile->name} + "-" + std::to_string(setting.seed) + ".history";
  const std::filesystem::path path = std::filesystem::temp_directory_path() / name;
  std::ofstream file{path};
  for (const Event& event : history) file << event << '\n';
  return path.string();
}

long long whole_ms(std::chrono::nanoseconds duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

std::string summary(const Result& result) {
  std::ostringstream text;
  text << result.grants << " grants, " << result.balanced << " attempts in balance, " << result.refused
       << " writes refused, longest gap " << whole_ms(result.longest_gap) << " ms, longest stall "
       << whole_ms(result.longest_stall) << " ms;";
  for (const auto& [name, count] : result.troubles) text << ' ' << count << " x " << name << ',';
  std::string line = text.str();
  line.pop_back();
  return line;
}

std::string complaint(const Setting& setting, const Result& result) {
  std::ostringstream text;
  History history = result.history;
  std::stable_sort(history.begin(), history.end(), [](const Event& a, const Event& b) { return a.time < b.time; });
  for (std::size_t i = 0; i < std::min(most_shown, result.violations.size()); ++i) {
    text << "\n  " << result.violations[i];
  }
  if (result.violations.size() > most_shown) text << "\n  and " << result.violations.size() - most_shown << " more";
  if (!result.violations.empty()) {
    text << "\nBefore the first of them:\n";
    print_trace(text, history, result.violations.front().time, most_events);
  }
  text << "\nAll that happened: " << write_history(setting, history) << "\nTo provoke the same faults again:\n  "
       << replay(setting);
  return text.str();
}

}  // namespace redismutex::faults
