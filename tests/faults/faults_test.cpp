// A fixed set of seeds; `make soak` tries others.

#include <gtest/gtest.h>

#include <cstdlib>
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
  Result result;
  try {
    result = try_out(setting);
  } catch (const Partition::Impossible& reason) {
    // Where nobody looks at what was left out, leaving it out is a failure.
    if (std::getenv("CI") != nullptr) FAIL() << reason.what();
    GTEST_SKIP() << reason.what();
  }
  std::cout << summary(result) << '\n';
  EXPECT_TRUE(result.violations.empty()) << complaint(setting, result);
}

INSTANTIATE_TEST_SUITE_P(All, Profiles, ::testing::ValuesIn(profiles()),
                         [](const auto& each) { return std::string{each.param.name}; });

}  // namespace
}  // namespace redismutex::faults
