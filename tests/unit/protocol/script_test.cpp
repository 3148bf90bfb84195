#include "protocol/script.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <string>

namespace redismutex::protocol {
namespace {

std::string sha1_of(std::string_view text) {
  std::array<unsigned char, 20> digest{};
  EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha1(), nullptr);
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

// A server knows a script by the digest of what SCRIPT LOAD sent it: the embedded digest has to be that of the embedded
// bytes, whatever compiler and build system did on the way.
TEST(Script, DigestIsThatOfTheEmbeddedBytes) {
  for (const Script* script : scripts::all) {
    EXPECT_EQ(script->sha1, sha1_of(script->source)) << script->name;
  }
  EXPECT_EQ(scripts::inspect.sha1, sha1_of(scripts::inspect.source));
  EXPECT_EQ(scripts::raise.sha1, sha1_of(scripts::raise.source));
}

TEST(Script, IsNamedForItsFile) {
  EXPECT_EQ(scripts::acquire.name, "acquire");
  EXPECT_EQ(scripts::extend.name, "extend");
  EXPECT_EQ(scripts::inspect.name, "inspect");
  EXPECT_EQ(scripts::raise.name, "raise");
  EXPECT_EQ(scripts::refresh.name, "refresh");
  EXPECT_EQ(scripts::release.name, "release");
}

// What several scripts have in common is put into each at its place, once; and into no other script.
TEST(Script, HasWhatItIncludes) {
  for (const Script* script : {&scripts::acquire, &scripts::release}) {
    const auto first = script->source.find("local function hand_over(");
    EXPECT_NE(first, std::string_view::npos) << script->name;
    EXPECT_EQ(script->source.find("local function hand_over(", first + 1), std::string_view::npos) << script->name;
  }
  for (const Script* script : {&scripts::extend, &scripts::refresh}) {
    EXPECT_EQ(script->source.find("local function hand_over("), std::string_view::npos) << script->name;
  }
  for (const Script* script : scripts::all) {
    EXPECT_EQ(script->source.find("@include"), std::string_view::npos) << script->name;
  }
}

}  // namespace
}  // namespace redismutex::protocol
