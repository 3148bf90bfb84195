// What servers answer to HELLO 3 is read as it comes from the wire.

#include "net/greeting.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "net/resp.hpp"

namespace redismutex::net {
namespace {

using Version = Greeting::Version;

std::string bulk(const std::string& value) { return "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n"; }

/// A map of these fields; the values are bytes of the protocol.
Greeting greeting_with(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string bytes = "%" + std::to_string(fields.size()) + "\r\n";
  for (const auto& [field, value] : fields) bytes += bulk(field) + value;
  Resp resp;
  resp.feed(bytes);
  const auto reply = resp.next();
  if (!reply) throw std::logic_error{"not a whole reply"};
  return read_greeting(*reply);
}

TEST(Greeting, OfRedis) {
  const Greeting said = greeting_with({{"server", bulk("redis")},
                                       {"version", bulk("7.0.15")},
                                       {"proto", ":3\r\n"},
                                       {"id", ":12345678901\r\n"},
                                       {"mode", bulk("standalone")},
                                       {"role", bulk("master")},
                                       {"modules", "*0\r\n"}});
  EXPECT_EQ(said.client_id, 12345678901);
  EXPECT_EQ(said.server, "redis");
  EXPECT_EQ(said.version, (Version{7, 0, 15}));
  EXPECT_EQ(said.mode, "standalone");
  EXPECT_EQ(said.role, "master");
}

TEST(Greeting, OfASentinelHasNoRole) {
  const Greeting said =
      greeting_with({{"server", bulk("valkey")}, {"version", bulk("9.1.2")}, {"mode", bulk("sentinel")}});
  EXPECT_EQ(said.server, "valkey");
  EXPECT_EQ(said.mode, "sentinel");
  EXPECT_EQ(said.role, "");
  EXPECT_EQ(said.client_id, 0);
}

TEST(Greeting, VersionsAreReadAsFarAsTheyAreNumbers) {
  const auto version = [](const std::string& value) { return greeting_with({{"version", bulk(value)}}).version; };
  EXPECT_EQ(version("6.0.16"), (Version{6, 0, 16}));
  EXPECT_EQ(version("255.255.255"), (Version{255, 255, 255}));
  EXPECT_EQ(version("8.1.0-rc1"), (Version{8, 1, 0}));
  EXPECT_EQ(version("8.1-rc1"), (Version{8, 1, 0}));
  EXPECT_EQ(version("7"), (Version{7, 0, 0}));
  EXPECT_EQ(version("7.x.3"), (Version{7, 0, 0}));
  for (const auto* none : {"", "x", "v7", ".7", "99999999999.1.1"}) EXPECT_EQ(version(none), Version{}) << none;
  EXPECT_GT(version("7.0.0"), version("6.2.14"));
  EXPECT_GT(version("7.10.0"), version("7.9.9"));
}

// A proxy may answer with whatever it likes: what makes no sense is not there.
TEST(Greeting, OfSomethingElse) {
  for (const auto& said :
       {greeting_with({}), greeting_with({{"id", bulk("7")}, {"server", ":7\r\n"}, {"version", "_\r\n"}}),
        greeting_with({{"id", "*0\r\n"}, {"version", "%0\r\n"}, {"role", "#t\r\n"}})}) {
    EXPECT_EQ(said.client_id, 0);
    EXPECT_EQ(said.server, "");
    EXPECT_EQ(said.version, Version{});
    EXPECT_EQ(said.role, "");
  }
}

}  // namespace
}  // namespace redismutex::net
