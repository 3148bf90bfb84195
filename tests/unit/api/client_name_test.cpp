// Whatever the names of hosts and programs are, the server takes the name of a connection, and the tag can be found in it.

#include "api/client_name.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string>

namespace redismutex::api {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr protocol::Tag tag{0x0123456789};

ClientName name() { return {.lead = "redismutex", .tag = tag, .host = "web-1", .pid = 4711, .purpose = "import"}; }

TEST(ClientName, TellsWhoItIs) {
  EXPECT_EQ(text_of(name()), "redismutex:0123456789:web-1:4711:import");
  EXPECT_EQ(text_of({}), ":0000000000::0:");
}

TEST(ClientName, HasPrintableAsciiOnly) {
  ClientName odd = name();
  odd.host = "web 1:\x80\x7f\n";
  odd.purpose = std::string_view{"im:po rt\t\xc3\xa9\0!~", 14};
  EXPECT_EQ(text_of(odd), "redismutex:0123456789:web_1____:4711:im_po_rt____!~");
  odd.lead = "night:job 7";
  EXPECT_THAT(text_of(odd), StartsWith("night:job_7:0123456789:"));
}

// Long names of hosts (pods) and programs share what room there is; tag and pid are always there.
TEST(ClientName, IsNeverTooLong) {
  const std::string many(1000, 'x');
  for (const std::string_view lead : {std::string_view{"redismutex"}, std::string_view{many}}) {
    for (const std::string_view host : {std::string_view{}, std::string_view{many}}) {
      for (const std::string_view purpose : {std::string_view{}, std::string_view{"import"}, std::string_view{many}}) {
        for (const std::int64_t pid : {std::int64_t{1}, std::numeric_limits<std::int64_t>::max()}) {
          const std::string text = text_of({.lead = lead, .tag = tag, .host = host, .pid = pid, .purpose = purpose});
          EXPECT_LE(text.size(), 128) << text;
          EXPECT_THAT(text, HasSubstr(":0123456789:"));
          EXPECT_THAT(text, HasSubstr(":" + std::to_string(pid) + ":"));
          EXPECT_THAT(text, EndsWith(std::string{purpose.substr(0, 15)}));
        }
      }
    }
  }
}

TEST(ClientName, OfThisProcess) {
  const std::string text = client_name("", tag);
  EXPECT_THAT(text, StartsWith("redismutex:0123456789:"));
  EXPECT_THAT(text, HasSubstr(":" + std::to_string(::getpid()) + ":"));
  EXPECT_THAT(text, HasSubstr("unit_tests"));
  EXPECT_EQ(std::count(text.begin(), text.end(), ':'), 4);
  EXPECT_THAT(client_name("night-job", tag), StartsWith("night-job:0123456789:"));
}

}  // namespace
}  // namespace redismutex::api
