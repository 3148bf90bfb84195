// How a bar is judged: by the median of the rounds, and as missed only when the whole spread of that is on its wrong side.

#include "standing.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "statistics.hpp"

namespace redismutex::bench {
namespace {

using Of = Standard::Of;
using Kind = Bar::Kind;

std::string verdict(Standard standard, std::vector<double> present, std::vector<double> reference) {
  return row_of({"", 1, standard, std::move(present), std::move(reference)}).back().text;
}

TEST(Standing, IsMetByTheMedianOfTheRatiosOfEachRound) {
  const Standard standard{Of::ratio, {Kind::at_most, 1.02}};
  EXPECT_EQ(verdict(standard, {10, 20, 90}, {10, 20, 30}), "met");
  EXPECT_EQ(verdict(standard, {11, 22, 33}, {10, 20, 30}), "MISSED");
  EXPECT_EQ(verdict(standard, {11, 22, 29}, {10, 20, 30}), "within the spread");
}

TEST(Standing, ComparesWithANumberOrByTheDifference) {
  EXPECT_EQ(verdict({Of::itself, {Kind::at_most, 4.1}}, {4.1}, {}), "met");
  EXPECT_EQ(verdict({Of::itself, {Kind::at_most, 4.1}}, {4.2}, {}), "MISSED");
  EXPECT_EQ(verdict({Of::difference, {Kind::at_least, -0.5}}, {89.6}, {90}), "met");
  EXPECT_EQ(verdict({Of::difference, {Kind::at_least, -0.5}}, {89.4}, {90}), "MISSED");
}

TEST(Standing, IsOpenWhereNothingWasMeasured) {
  EXPECT_EQ(verdict({Of::ratio, {Kind::at_most, 1}}, {1}, {}), "not measured");
  EXPECT_EQ(verdict({Of::itself, {Kind::at_most, 1}}, {}, {1}), "not measured");
}

TEST(SpreadOfMedian, IsKnownFromTheOrderOfTheValues) {
  std::vector<double> values;
  for (int i = 1; i <= 15; ++i) values.push_back(i);
  const Spread of_fifteen = spread_of_median(values);
  EXPECT_EQ(of_fifteen.low, 4);
  EXPECT_EQ(of_fifteen.high, 12);
  const Spread of_three = spread_of_median({3, 1, 2});
  EXPECT_EQ(of_three.low, 1);
  EXPECT_EQ(of_three.high, 3);
}

}  // namespace
}  // namespace redismutex::bench
