// TLS at the end of a process: after main() has returned, OpenSSL must still work for those that use it then.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "support/certificates.hpp"
#include "support/process.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

struct Exit : ::testing::Test {
  /// What the program printed that locks in this way at its end (exit_program.cpp). It must end by itself, with success.
  std::string printed_by_one_that_locks(const std::string& how) const {
    const ChildProcess child{
        Program{.arguments = {REDISMUTEX_EXIT_PROGRAM, server.tls_url() + "?ca_file=" + certificates.ca_file(), how}}};
    EXPECT_EQ(child.wait(60s), exited(0)) << how << ": " << child.stdout_text() << child.stderr_text();
    return child.stdout_text();
  }

  const Certificates certificates;
  Server server{{.tls = certificates.tls(certificates.server())}};
};

// A first connection after main(), in a program that had another one before.
TEST_F(Exit, AStaticObjectLocksInItsDestructor) {
  EXPECT_EQ(printed_by_one_that_locks("static object"), "locked\nlocked\n");
}
TEST_F(Exit, AFunctionOfAtexitLocks) { EXPECT_EQ(printed_by_one_that_locks("atexit"), "locked\nlocked\n"); }

// Where the program itself had OpenSSL shut itself down, the error says so, and what to do.
TEST_F(Exit, TellsThatOpenSslIsShutDown) {
  const std::string printed = printed_by_one_that_locks("static object, OpenSSL used before");
  EXPECT_THAT(printed, HasSubstr("OpenSSL has shut down"));
  EXPECT_THAT(printed, HasSubstr("OPENSSL_INIT_NO_ATEXIT"));
}

// Threads in the middle of handshakes when main() returns: the process ends without a crash, each time. One in six crashed
// while OpenSSL shut itself down under them.
TEST_F(Exit, DetachedThreadsLockWhileMainReturns) {
  for (int run = 0; run < 30 && !HasFailure(); ++run) {
    EXPECT_EQ(printed_by_one_that_locks("detached threads"), "") << "run " << run;
  }
}

}  // namespace
}  // namespace redismutex::testing
