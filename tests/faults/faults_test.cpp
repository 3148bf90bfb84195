// A fixed set of seeds; `make soak` tries others.

#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <string>

#include "faults/report.hpp"
#include "faults/trial.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;

class Profiles : public ::testing::TestWithParam<Profile> {};

// Whatever is done to processes, servers and the network between them: what docs/safety.md says must hold, holds.
TEST_P(Profiles, KeepTheirPromises) {
  const Setting setting{
      .seed = 1, .profile = &profile(GetParam().name), .length = 6s, .worker = REDISMUTEX_FAULTS_WORKER};
  const Result result = try_out(setting);
  std::cout << summary(result) << '\n';
  EXPECT_TRUE(result.violations.empty()) << complaint(setting, result);
}

INSTANTIATE_TEST_SUITE_P(All, Profiles, ::testing::ValuesIn(profiles()),
                         [](const auto& each) { return std::string{each.param.name}; });

}  // namespace
}  // namespace redismutex::faults
