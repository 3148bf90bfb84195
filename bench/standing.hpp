#pragma once

#include <string>
#include <vector>

#include "report.hpp"

namespace redismutex::bench {

/// What this version is held to, beside a reference.
struct Standard {
  enum class Of {
    ratio,       ///< this version's figure divided by the reference's of the same round
    difference,  ///< this version's less the reference's of the same round
    itself,      ///< this version's alone
  };
  Of of;
  Bar bar;
};

/// One thing that was measured of both, once a round. A version that can not do it has no figures.
struct Standing {
  std::string what;  ///< with the unit
  int decimals;      ///< to show of a figure
  Standard standard;
  std::vector<double> present{};
  std::vector<double> reference{};
};

/// The columns of these rows: what, this, reference, ratio, spread, bar, verdict.
///
/// Shown are medians of the rounds, and the spread of the value that the bar is about: where its true median lies, 19 times out
/// of 20. A bar counts as missed only if all of that is on its wrong side.
std::vector<Cell> row_of(const Standing& standing);

}  // namespace redismutex::bench
