#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <redismutex/redismutex.hpp>
#include <redismutex/testing.hpp>
#include <stdexcept>
#include <string>

#include "integration/thrown.hpp"

// memory: URLs, and the options that they mean, where redismutex::testing is linked. Where it is not: unit/net/url_test.cpp.
namespace redismutex::testing {
namespace {

using ::testing::HasSubstr;

std::string complaint_about(const std::string& url) {
  return thrown<std::invalid_argument>([&] { return parse_url(url); }).what();
}

TEST(MemoryUrl, NamesAServer) {
  EXPECT_EQ(parse_url("memory:orders").memory, "orders");
  EXPECT_EQ(parse_url("memory:a%20b").memory, "a b");
  EXPECT_EQ(display_name(parse_url("memory:orders")), "memory:orders");
}

TEST(MemoryUrl, HasNothingElse) {
  EXPECT_THAT(complaint_about("memory:"), HasSubstr("name"));
  EXPECT_THAT(complaint_about("memory://orders"), HasSubstr("percent-encoded"));
  EXPECT_THAT(complaint_about("memory:orders?db=1"), HasSubstr("percent-encoded"));
  EXPECT_THAT(complaint_about("memory:user@orders"), HasSubstr("percent-encoded"));
  EXPECT_THAT(complaint_about("memory:a%00"), HasSubstr("zero byte"));
}

TEST(MemoryOptions, AreRefusedWhereTheyMeanNothing) {
  const auto complaint = [](const ConnectionOptions& options) -> std::string {
    return thrown<std::invalid_argument>([&] { return Connection{options}; }).what();
  };
  EXPECT_THAT(complaint({.db = 1, .memory = "m"}), HasSubstr("databases"));
  EXPECT_THAT(complaint({.unix_socket = "/s", .memory = "m"}), HasSubstr("unix_socket"));
  EXPECT_THAT(complaint({.memory = "m", .username = "u"}), HasSubstr("users"));
  EXPECT_THAT(complaint({.memory = "m", .password = "p"}), HasSubstr("users"));
  EXPECT_THAT(complaint({.memory = "m", .tls = TlsOptions{}}), HasSubstr("tls"));
  EXPECT_THAT(complaint({.memory = std::string("a\0b", 3)}), HasSubstr("zero byte"));
  EXPECT_THAT(complaint({.memory = "m", .kind = ConnectionOptions::Kind::cluster, .nodes = {{"n", 1}}}),
              HasSubstr("kind must be single"));
}

}  // namespace
}  // namespace redismutex::testing
