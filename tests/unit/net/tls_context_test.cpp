#include "net/tls_context.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <variant>

#include "support/certificates.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::net {
namespace {

using redismutex::testing::Certificates;
using redismutex::testing::TempDir;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace redismutex::net
