// URLs with TLS: the command without OpenSSL runs the one with it in its place, and nobody notices.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "command.hpp"
#include "support/certificates.hpp"
#include "support/process.hpp"
#include "support/server.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct TlsCommand : ::testing::Test {
  Certificates certificates;
  Server server{{.password = "hunter2", .tls = certificates.tls(certificates.server())}};
  std::string url = server.tls_url() + "?ca_file=" + certificates.ca_file();
};

TEST_F(TlsCommand, RunsByUrlAndByEnvironment) {
  const auto by_url = redismutex({"run", "--url", url, "key", "sh", "-c", "echo inside; exit 3"});
  EXPECT_EQ(by_url.status, exited(3)) << by_url.err;
  EXPECT_EQ(by_url.out, "inside\n");
  const auto by_environment = redismutex({"run", "key", "sh", "-c", "cat /proc/$PPID/comm"}, {"REDIS_URL=" + url});
  EXPECT_EQ(by_environment.status, exited(0)) << by_environment.err;
  EXPECT_EQ(by_environment.out, "lock-keeper\n");
}

TEST_F(TlsCommand, SaysWhyAServerIsNotTrusted) {
  const auto refused = redismutex({"run", "key", "true"}, {"REDIS_URL=" + server.tls_url()});
  EXPECT_EQ(refused.status, exited(69));
  EXPECT_THAT(refused.err, AllOf(HasSubstr("self-signed"), ::testing::Not(HasSubstr("hunter2"))));
}

// A server takes the first message for the beginning of a command, and waits for the rest of it.
TEST_F(TlsCommand, DoubtsThatASilentPortSpeaksTls) {
  const Server plain({.tcp = true});
  const std::string url_of_plain = "rediss://127.0.0.1:" + std::to_string(plain.port());
  const auto refused = redismutex({"run", "-n", "--url", url_of_plain, "key", "true"});
  EXPECT_EQ(refused.status, exited(69));
  EXPECT_THAT(refused.err, AllOf(HasSubstr("TLS handshake with 127.0.0.1: no answer within "),
                                 HasSubstr(" ms (connect_timeout); does this port speak TLS?")));
}

// A copy of the one program alone says what it misses.
TEST_F(TlsCommand, NamesTheProgramThatIsMissing) {
  const TempDir directory;
  const auto copy = directory.file("redismutex");
  std::filesystem::copy_file(REDISMUTEX_COMMAND, copy);
  const ChildProcess alone(Program{.arguments = {copy, "run", "key", "true"}, .environment = {"REDIS_URL=" + url}});
  EXPECT_EQ(alone.wait(std::chrono::seconds{15}), exited(70));
  EXPECT_THAT(alone.stderr_text(), AllOf(HasSubstr("redismutex-tls"), HasSubstr("No such file")));
  const ChildProcess plain(
      Program{.arguments = {copy, "run", "key", "true"}, .environment = {"REDIS_URL=" + server.url()}});
  EXPECT_EQ(plain.wait(std::chrono::seconds{15}), exited(0)) << plain.stderr_text();
}

// The same for what looks at locks from outside: which program is missing, and where it comes from.
TEST(OnCallProgram, IsNamedWhenItIsNotThere) {
  const TempDir elsewhere;
  const auto copy = elsewhere.file("redismutex");
  std::filesystem::copy(REDISMUTEX_COMMAND, copy);
  const ChildProcess alone(Program{.arguments = {copy, "status", "k"}});
  EXPECT_EQ(alone.wait(limit), exited(70));
  EXPECT_THAT(alone.stderr_text(), AllOf(HasSubstr("redismutex-on-call: No such file"), HasSubstr("libncurses-dev")));
}

}  // namespace
}  // namespace redismutex::testing
