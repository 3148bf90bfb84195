#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <redismutex/redismutex.hpp>
#include <string>

#include "integration/contender.hpp"
#include "support/cluster.hpp"
#include "support/eventually.hpp"

namespace redismutex::testing {

/// A cluster that is well, and a connection to it. All tests on it leave it empty, and well.
struct WithCluster : ::testing::Test {
  Cluster& cluster = Cluster::shared();
  Connection connection{cluster.url()};

  void TearDown() override {
    cluster.wait_until_well();
    for (Server* master : cluster.masters()) {
      EXPECT_TRUE(eventually(limit, [&] { return left_on(*master).empty(); }))
          << ::testing::PrintToString(left_on(*master));
    }
  }

  static std::vector<std::string> left_on(Server& master) {
    std::vector<std::string> keys = master.keys();
    // These stay for a minute.
    std::erase_if(keys, [](const std::string& key) {
      return key.starts_with("redismutex:floor:") || (key.starts_with("redismutex:") && key.ends_with(":witness"));
    });
    return keys;
  }

  long long in_line(const std::string& key) { return redismutex::testing::in_line(cluster.master_of_key(key), key); }
};

}  // namespace redismutex::testing
