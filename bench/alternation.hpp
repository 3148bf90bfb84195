#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace redismutex::bench {

/// Calls `measure` with each number below `contenders`, in every round in the other order, so that whatever else the machine
/// does in the meantime hits all alike.
void by_turns(std::size_t contenders, int rounds, const std::function<void(std::size_t contender)>& measure);

/// Somebody to compare, and how to measure once: appends one or more figures.
struct Contender {
  std::string name;
  std::function<void(std::vector<double>& figures)> measure;
};

struct Measured {
  std::string name;
  std::vector<double> figures;  ///< all
  std::vector<double> rounds;   ///< the median of each round
};

/// Lets all take turns. One round before that is for warming up.
std::vector<Measured> alternate(const std::vector<Contender>& contenders, int rounds);

/// Round by round, how many times the other's figure is ours.
std::vector<double> ratios(const Measured& ours, const Measured& other);

}  // namespace redismutex::bench
