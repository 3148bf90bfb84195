#include "net/tls_context.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <variant>

#include "support/certificates.hpp"
#include "support/channel.hpp"
#include "support/posix.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::net {
namespace {

namespace testing = redismutex::testing;
using testing::Certificates;
using ::testing::HasSubstr;
using testing::TempDir;

struct TlsContextTest : ::testing::Test {
  SSL_CTX* loaded() { return std::get<SSL_CTX*>(context.load()); }

  const Certificates certificates;
  const TempDir directory;
  const std::string ca = directory.file("ca");
  TlsContext context{{.ca_file = ca}};
};

// The files are read once, and not for each connection.
TEST_F(TlsContextTest, ReadsFilesOnce) {
  std::filesystem::copy_file(certificates.ca_file(), ca);
  SSL_CTX* const first = loaded();
  EXPECT_EQ(loaded(), first);
}

// But again when another stands at the same place: certificates are renewed while programs run. One that can not be read
// is an error, until it can.
TEST_F(TlsContextTest, ReadsFilesAgainThatHaveChanged) {
  std::filesystem::copy_file(certificates.ca_file(), ca);
  (void)loaded();
  std::filesystem::remove(ca);
  EXPECT_THAT(std::get<Failure>(context.load()).text, HasSubstr(ca));
  EXPECT_EQ(std::get<Failure>(context.load()).kind, Failure::Kind::unusable);
  std::filesystem::copy_file(certificates.other_ca_file(), ca);
  SSL_CTX* const second = loaded();
  EXPECT_EQ(loaded(), second);
}

/// A child's terminal.
struct Terminal {
  testing::Descriptor master;
  std::string name;

  Terminal() : master{testing::checked(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt")} {
    testing::checked(::grantpt(master.get()), "grantpt");
    testing::checked(::unlockpt(master.get()), "unlockpt");
    name = ::ptsname(master.get());
  }

  /// Called by the child of a child: makes this the terminal that the process belongs to.
  void take() const {
    testing::checked(::setsid(), "setsid");
    const int terminal = testing::checked(::open(name.c_str(), O_RDWR), "open");
    for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(terminal, number);
  }
};

// An encrypted key is an error in words that say what to do. Above all, OpenSSL does not ask for its passphrase at the
// terminal, where it would wait for ever: the process has one here.
TEST_F(TlsContextTest, RefusesAnEncryptedKeyWithoutAsking) {
  for (const auto& own : {certificates.encrypted_client(), certificates.traditionally_encrypted_client()}) {
    const Terminal terminal;
    testing::Channel told;
    const testing::ChildProcess child{[&] {
      // A group leader, as the child is, can not begin a session; its own child can.
      const pid_t process = testing::checked(::fork(), "fork");
      if (process != 0) return ::waitpid(process, nullptr, 0) == process ? 0 : 1;
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      terminal.take();
      TlsContext with_key{
          {.ca_file = certificates.ca_file(), .certificate_file = own.certificate_file, .key_file = own.key_file}};
      told.send(std::get<Failure>(with_key.load()).text);
      ::_exit(0);
    }};
    const auto text = told.receive(std::chrono::seconds{15});
    ASSERT_TRUE(text) << "it waits";
    EXPECT_THAT(*text, HasSubstr("cannot load key_file " + own.key_file + ": it is encrypted"));
    EXPECT_THAT(*text, HasSubstr("openssl pkey"));
    pollfd written{terminal.master.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&written, 1, 0) > 0 && (written.revents & POLLIN) != 0, false) << "it asked";
  }
}

// The same key without encryption is fine.
TEST_F(TlsContextTest, LoadsAKeyThatIsNotEncrypted) {
  TlsContext with_key{{.ca_file = certificates.ca_file(),
                       .certificate_file = certificates.client().certificate_file,
                       .key_file = certificates.client().key_file}};
  EXPECT_NE(std::get<SSL_CTX*>(with_key.load()), nullptr);
}

}  // namespace
}  // namespace redismutex::net
