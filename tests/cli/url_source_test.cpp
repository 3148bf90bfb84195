// A server is never guessed: the URL comes from the first place that has one, and where none has, that is a usage error
// that names them all.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>

#include "command.hpp"
#include "sandbox.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto path = "PATH=/usr/local/bin:/usr/bin:/bin";

/// Each place has another server; the command shows which one it was by the key it finds there.
class UrlSource : public ::testing::Test {
 protected:
  UrlSource() {
    notes_.write("url", "# a comment\n\n  " + servers_[1].url() + "\t\r\n");
    notes_.write("redismutex-url", servers_[4].url() + "\n");
  }

  std::string environment(const char* name, std::size_t server) const {
    return std::string(name) + "=" + servers_.at(server).url();
  }

  std::string credentials() const { return "CREDENTIALS_DIRECTORY=" + notes_.directory(); }

  /// The number of the server that saw an acquisition.
  std::size_t used() {
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      const bool was_used = servers_[i].command_calls()["set"] + servers_[i].command_calls()["evalsha"] +
                                servers_[i].command_calls()["eval"] >
                            0;
      servers_[i].command({"CONFIG", "RESETSTAT"});
      if (was_used) return i;
    }
    return servers_.size();
  }

  Notes notes_;
  std::array<Server, 6> servers_;
};

TEST_F(UrlSource, IsTheFirstThatThereIs) {
  std::vector<std::string> environment{path, this->environment("REDISMUTEX_URL", 2), this->environment("REDIS_URL", 3),
                                       credentials()};
  const auto run = [&](std::vector<std::string> options) {
    options.insert(options.begin(), "run");
    options.insert(options.end(), {"k", "true"});
    const auto result = redismutex_with_system_file(servers_[5].url() + "\n", options, environment);
    EXPECT_EQ(result.status, exited(0)) << result.err;
    return used();
  };
  EXPECT_EQ(run({"--url-file", notes_.path("url"), "--url", servers_[0].url()}), 0U);
  EXPECT_EQ(run({"--url-file", notes_.path("url")}), 1U);
  EXPECT_EQ(run({}), 2U);
  environment[1] = "REDISMUTEX_URL=";  // as good as none
  EXPECT_EQ(run({}), 3U);
  environment.erase(environment.begin() + 1, environment.begin() + 3);
  EXPECT_EQ(run({}), 4U);
  environment.back() = "CREDENTIALS_DIRECTORY=/nonexistent";
  EXPECT_EQ(run({}), 5U);
}

// What sudo, cron and systemd leave of the environment.
TEST_F(UrlSource, IsAskedForWhereNoneIsNamed) {
  const auto result = redismutex_with_system_file({}, {"run", "k", "true"}, {path, "HOME=/", "LOGNAME=x"});
  EXPECT_EQ(result.status, exited(64));
  for (const auto* source : {"--url", "--url-file", "$REDISMUTEX_URL", "$REDIS_URL",
                             "$CREDENTIALS_DIRECTORY/redismutex-url", "/etc/redismutex/url", "embedded:"}) {
    EXPECT_THAT(result.err, HasSubstr(source));
  }
}

TEST_F(UrlSource, IsNamedWhenItIsWrong) {
  const auto run = [&](const std::vector<std::string>& options, const std::vector<std::string>& environment) {
    std::vector<std::string> arguments{"run"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.insert(arguments.end(), {"k", "true"});
    const auto result = redismutex_with_system_file("localhost\n", arguments, environment);
    EXPECT_EQ(result.status, exited(64));
    return result.err;
  };
  notes_.write("two", "redis://a\nredis://b\n");
  notes_.write("none", "# redis://a\n");
  EXPECT_THAT(run({}, {path}), HasSubstr("/etc/redismutex/url: '"));
  EXPECT_THAT(run({}, {path, "REDISMUTEX_URL=localhost"}), HasSubstr("$REDISMUTEX_URL: 'localhost' is no URL"));
  EXPECT_THAT(run({"--url-file", notes_.path("two")}, {path}),
              HasSubstr("two names 2 servers: it takes one, or for a quorum an odd number"));
  EXPECT_THAT(run({"--url-file", notes_.path("none")}, {path}), HasSubstr("none has no URL"));
  EXPECT_THAT(run({"--url-file", notes_.path("missing")}, {path}),
              AllOf(HasSubstr("cannot read"), HasSubstr("missing: No such file")));
  EXPECT_THAT(run({"--url-file", notes_.directory()}, {path}), HasSubstr("Is a directory"));
}

TEST_F(UrlSource, IsAFileThatCanBeRead) {
  notes_.write("secret", servers_[0].url());
  ::chmod(notes_.path("secret").c_str(), 0);
  ::chmod(notes_.directory().c_str(), 0755);
  const auto result = redismutex_without_privileges({"run", "--url-file", notes_.path("secret"), "k", "true"}, {path});
  EXPECT_EQ(result.status, exited(64));
  EXPECT_THAT(result.err, HasSubstr("secret: Permission denied"));
}

}  // namespace
}  // namespace redismutex::testing
