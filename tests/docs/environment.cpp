// Gives the snippets an empty server of their own, where the library looks for one: $REDIS_URL.

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "support/server.hpp"

namespace redismutex::testing {
namespace {

class ServerForSnippets : public ::testing::Environment {
 public:
  void SetUp() override { ::setenv("REDIS_URL", server_.emplace().url().c_str(), 1); }
  void TearDown() override { server_.reset(); }

 private:
  std::optional<Server> server_;
};

const auto* const environment = ::testing::AddGlobalTestEnvironment(new ServerForSnippets);

}  // namespace
}  // namespace redismutex::testing
