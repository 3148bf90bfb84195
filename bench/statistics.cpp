#include "statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace redismutex::bench {

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(std::clamp<std::size_t>(rank, 1, values.size()) - 1);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

Spread spread_of_median(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  // Each value lies below the median like a coin: `chance` is that of exactly `outside` ones below, `sum` that of at most so many.
  double chance = std::pow(0.5, values.size());
  double sum = chance;
  std::size_t outside = 0;
  while (sum <= 0.025) {
    chance *= static_cast<double>(values.size() - outside) / static_cast<double>(outside + 1);
    sum += chance;
    ++outside;
  }
  const std::size_t rank = outside > 0 ? outside - 1 : 0;
  return {.low = values[rank], .high = values[values.size() - 1 - rank]};
}

double jain_index(const std::vector<double>& shares) {
  double sum = 0;
  double sum_of_squares = 0;
  for (const double share : shares) {
    sum += share;
    sum_of_squares += share * share;
  }
  return sum_of_squares > 0 ? sum * sum / (static_cast<double>(shares.size()) * sum_of_squares) : 0;
}

}  // namespace redismutex::bench
