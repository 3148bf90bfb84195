#include "programs.hpp"

#include <chrono>
#include <sstream>
#include <stdexcept>

#include "support/process.hpp"

namespace redismutex::bench {

std::map<std::string, double> run_part(const std::vector<std::string>& command) {
  constexpr std::chrono::minutes limit{3};
  const testing::ChildProcess part{testing::Program{.arguments = command}};
  const auto ended = part.wait(limit);
  if (!ended) throw std::runtime_error{command.at(1) + " takes longer than 3 minutes"};
  if (ended != testing::exited(0)) throw std::runtime_error{command.at(1) + " failed: " + part.stderr_text()};
  std::istringstream printed{part.stdout_text()};
  std::map<std::string, double> figures;
  std::string name;
  for (double value = 0; printed >> name >> value;) figures[name] = value;
  return figures;
}

}  // namespace redismutex::bench
