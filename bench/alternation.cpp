#include "alternation.hpp"

#include <algorithm>
#include <numeric>

#include "statistics.hpp"

namespace redismutex::bench {

void by_turns(std::size_t contenders, int rounds, const std::function<void(std::size_t)>& measure) {
  std::vector<std::size_t> order(contenders);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (int round = 0; round < rounds; ++round) {
    std::for_each(order.begin(), order.end(), measure);
    std::reverse(order.begin(), order.end());
  }
}

std::vector<Measured> alternate(const std::vector<Contender>& contenders, int rounds) {
  std::vector<Measured> measured;
  for (const Contender& contender : contenders) {
    measured.push_back({contender.name, {}, {}});
    std::vector<double> warming_up;
    contender.measure(warming_up);
  }
  by_turns(contenders.size(), rounds, [&](std::size_t which) {
    std::vector<double> figures;
    contenders[which].measure(figures);
    measured[which].rounds.push_back(median(figures));
    measured[which].figures.insert(measured[which].figures.end(), figures.begin(), figures.end());
  });
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
