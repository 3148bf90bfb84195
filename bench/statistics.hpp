#pragma once

#include <utility>
#include <vector>

namespace redismutex::bench {

/// The value that `share` of all values do not exceed (nearest rank); 0 if there are none.
double percentile(std::vector<double> values, double share);

inline double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

/// Where the median of all values that there could be lies, 19 times out of 20, by the order of those that there are: the
/// fourth and the twelfth of fifteen. The least and the greatest if there are fewer than six.
struct Spread {
  double low = 0;
  double high = 0;
};
Spread spread_of_median(std::vector<double> values);

/// Jain's fairness index of what each got: 1 if all got the same, 1/n if one got everything.
double jain_index(const std::vector<double>& shares);

}  // namespace redismutex::bench
