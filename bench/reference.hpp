#pragma once

#include <string>
#include <vector>

#include "modes.hpp"

namespace redismutex::bench {

/// How to compare this version of the library with another, the reference.
struct Comparison {
  std::string present;    ///< the program of bench/worker, built with this version
  std::string reference;  ///< the same, built with the other
  int rounds = 15;
  std::vector<std::string> parts{};  ///< of part_names(); empty: all
};

/// What can be compared, in the order in which it is.
std::vector<std::string> part_names();

/// Measures both in turns, against the run's server, and reports how this version stands to what it is held to.
void run_comparison(Run& run, const Comparison& comparison);

}  // namespace redismutex::bench
