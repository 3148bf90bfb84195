#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <redismutex/redismutex.hpp>
#include <string>
#include <vector>

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

  /// So many keys of one of its servers, each in a slot of its own.
  std::vector<std::string> keys_of_one_master(std::size_t count, const std::string& prefix) {
    std::vector<std::string> keys;
    const Server* master = nullptr;
    for (const std::string& key : keys_of_many_slots(8 * count, prefix)) {
      Server& its = cluster.master_of_key(key);
      if (master == nullptr) master = &its;
      if (&its == master && keys.size() < count) keys.push_back(key);
    }
    EXPECT_EQ(keys.size(), count);
    return keys;
  }

  long long in_line(const std::string& key) { return redismutex::testing::in_line(cluster.master_of_key(key), key); }
};

}  // namespace redismutex::testing
