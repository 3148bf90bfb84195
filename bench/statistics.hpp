#pragma once

#include <utility>
#include <vector>

namespace redismutex::bench {

/// The value that `share` of all values do not exceed (nearest rank); 0 if there are none.
double percentile(std::vector<double> values, double share);

inline double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

/// Jain's fairness index of what each got: 1 if all got the same, 1/n if one got everything.
double jain_index(const std::vector<double>& shares);

}  // namespace redismutex::bench
