#include "alternation.hpp"

#include <algorithm>
#include <cstddef>

#include "statistics.hpp"

namespace redismutex::bench {

std::vector<Measured> alternate(const std::vector<Contender>& contenders, int rounds) {
  std::vector<Measured> measured;
  std::vector<std::size_t> order;
  for (const Contender& contender : contenders) {
    order.push_back(measured.size());
    measured.push_back({contender.name, {}, {}});
    std::vector<double> warming_up;
    contender.measure(warming_up);
  }
  for (int round = 0; round < rounds; ++round) {
    for (const std::size_t which : order) {
      std::vector<double> figures;
      contenders[which].measure(figures);
      measured[which].rounds.push_back(median(figures));
      measured[which].figures.insert(measured[which].figures.end(), figures.begin(), figures.end());
    }
    std::reverse(order.begin(), order.end());
  }
  return measured;
}

std::vector<double> ratios(const Measured& ours, const Measured& other) {
  std::vector<double> result;
  for (std::size_t round = 0; round < ours.rounds.size(); ++round) {
    result.push_back(ours.rounds[round] / other.rounds.at(round));
  }
  return result;
}

}  // namespace redismutex::bench
