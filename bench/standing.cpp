#include "standing.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <sstream>

#include "statistics.hpp"

namespace redismutex::bench {
namespace {

using Of = Standard::Of;

template <class Operation>
std::vector<double> by_round(const Standing& standing, Operation operation) {
  std::vector<double> values;
  const std::size_t rounds = std::min(standing.present.size(), standing.reference.size());
  for (std::size_t round = 0; round < rounds; ++round) {
    values.push_back(operation(standing.present[round], standing.reference[round]));
  }
  return values;
}

std::vector<double> ratios_of(const Standing& standing) {
  return by_round(standing, [](double present, double reference) { return present / reference; });
}

std::vector<double> judged_values(const Standing& standing) {
  switch (standing.standard.of) {
    case Of::ratio: return ratios_of(standing);
    case Of::difference:
      return by_round(standing, [](double present, double reference) { return present - reference; });
    case Of::itself: break;
  }
  return standing.present;
}

/// A ratio needs three.
int decimals_of(const Standing& standing) { return standing.standard.of == Of::ratio ? 3 : standing.decimals; }

std::string shown(double value, int decimals) {
  const std::string text = Cell{value, decimals}.text;
  return text.find_first_not_of("-0.") == std::string::npos ? Cell{0.0, decimals}.text : text;  // no "-0.0"
}

std::string bar_of(const Standing& standing) {
  const auto& [of, bar] = standing.standard;
  std::ostringstream text;
  text << (bar.kind == Bar::Kind::at_most ? "<= " : ">= ");
  if (of == Of::ratio) {
    text << shown(bar.limit, 2) << " x";
  } else if (of == Of::itself) {
    text << shown(bar.limit, standing.decimals);
  } else if (bar.limit == 0) {
    text << "reference";
  } else {
    text << "reference " << (bar.limit < 0 ? "- " : "+ ") << shown(std::abs(bar.limit), standing.decimals);
  }
  return text.str();
}

std::string verdict_on(const Standing& standing, const std::vector<double>& values) {
  const Bar& bar = standing.standard.bar;
  // As it is printed: what shows as 1.000 is no more than 1.
  const auto is_beyond = [&](double value) {
    const double printed = std::stod(shown(value, decimals_of(standing)));
    return bar.kind == Bar::Kind::at_most ? printed > bar.limit : printed < bar.limit;
  };
  if (!is_beyond(median(values))) return "met";
  const Spread spread = spread_of_median(values);
  return is_beyond(spread.low) && is_beyond(spread.high) ? "MISSED" : "within the spread";
}

Cell middle(const std::vector<double>& values, int decimals) {
  return values.empty() ? Cell{"-"} : Cell{median(values), decimals};
}

std::string range_of(const Spread& spread, int decimals) {
  std::ostringstream text;
  text << '[' << shown(spread.low, decimals) << ", " << shown(spread.high, decimals) << ']';
  return text.str();
}

}  // namespace

std::vector<Cell> row_of(const Standing& standing) {
  const auto values = judged_values(standing);
  const Spread spread = spread_of_median(values);
  const int decimals = decimals_of(standing);
  return {standing.what,
          middle(standing.present, standing.decimals),
          middle(standing.reference, standing.decimals),
          middle(ratios_of(standing), 3),
          values.empty() ? std::string{"-"} : range_of(spread, decimals),
          bar_of(standing),
          values.empty() ? "not measured" : verdict_on(standing, values)};
}

}  // namespace redismutex::bench
