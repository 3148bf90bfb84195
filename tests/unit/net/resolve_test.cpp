#include "net/resolve.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <chrono>
#include <variant>

#include "net/poll.hpp"
#include "unit/net/peer.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using Resolved = std::variant<Addresses, Failure>;

constexpr auto unknown_name = "no-such-host.invalid";  // none will ever be (RFC 6761)

Failure::Kind kind_of(const Resolved& resolved) { return std::get<Failure>(resolved).kind; }

// Addresses stand for themselves, at once; so does the machine's own name.
TEST(Resolver, FindsAddresses) {
  for (const auto& [host, family] : {std::pair{"127.0.0.1", AF_INET}, std::pair{"::1", AF_INET6}}) {
    const Kick kick;
    Resolver resolver{host, 6379};
    const Resolved resolved = resolver.resolve(steady_clock::now(), kick);
    ASSERT_TRUE(std::holds_alternative<Addresses>(resolved)) << host;
    ASSERT_EQ(std::get<Addresses>(resolved).size(), 1U);
    const Address& address = std::get<Addresses>(resolved).front();
    EXPECT_EQ(address.family(), family);
    EXPECT_EQ(address.size, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    // The port is at the same place in both.
    EXPECT_EQ(ntohs(reinterpret_cast<const sockaddr_in*>(address.get())->sin_port), 6379);
  }
  const Kick kick;
  EXPECT_EQ(std::get<Addresses>(Resolver("localhost", 1).resolve(steady_clock::now(), kick)).size(), 2U);
}

// The caller's deadline, and a kick, end the wait for a name server. The look-up goes on, and is there for the next caller.
TEST(Resolver, DoesNotWaitLongerThanItsCaller) {
  const Kick kick, kicked;
  kicked.kick();
  Resolver resolver{unknown_name, 1};
  EXPECT_EQ(kind_of(resolver.resolve(steady_clock::now() - 1s, kick)), Failure::Kind::timed_out);
  const Failure::Kind interrupted = kind_of(resolver.resolve(far(), kicked));
  EXPECT_TRUE(interrupted == Failure::Kind::cancelled || interrupted == Failure::Kind::unreachable);
  const Resolved resolved = resolver.resolve(far(), kick);
  EXPECT_EQ(kind_of(resolved), Failure::Kind::unreachable);
  EXPECT_THAT(std::get<Failure>(resolved).text, HasSubstr(unknown_name));
}

}  // namespace
}  // namespace redismutex::net
