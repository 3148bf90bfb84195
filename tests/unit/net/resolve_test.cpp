#include "net/resolve.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <chrono>
#include <stdexcept>
#include <variant>

#include "net/poll.hpp"
#include "unit/net/peer.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using Resolved = std::variant<Awaited, Addresses, Failure>;

constexpr auto unknown_name = "no-such-host.invalid";  // none will ever be (RFC 6761)

// Addresses stand for themselves, at once; so does the machine's own name.
TEST(Resolver, FindsAddresses) {
  for (const auto& [host, family] : {std::pair{"127.0.0.1", AF_INET}, std::pair{"::1", AF_INET6}}) {
    Resolver resolver{host, 6379};
    const Resolved resolved = resolver.step(steady_clock::now());
    ASSERT_TRUE(std::holds_alternative<Addresses>(resolved)) << host;
    ASSERT_EQ(std::get<Addresses>(resolved).size(), 1U);
    const Address& address = std::get<Addresses>(resolved).front();
    EXPECT_EQ(address.family(), family);
    EXPECT_EQ(address.size, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    // The port is at the same place in both.
    EXPECT_EQ(ntohs(reinterpret_cast<const sockaddr_in*>(address.get())->sin_port), 6379);
  }
  EXPECT_EQ(std::get<Addresses>(Resolver("localhost", 1).step(steady_clock::now())).size(), 2U);
}

/// Goes on until there is a result.
Resolved finish(Resolver& resolver) {
  for (;;) {
    Resolved step = resolver.step(steady_clock::now());
    const auto* awaited = std::get_if<Awaited>(&step);
    if (awaited == nullptr) return step;
    if (poll_until({awaited->fd, awaited->events, far()}, nullptr) != Polled::ready)
      throw std::runtime_error{"no result"};
  }
}

// A step does not wait for a name server. The look-up goes on, and is there for whoever makes the next step.
TEST(Resolver, NeverWaits) {
  Resolver resolver{unknown_name, 1};
  ASSERT_TRUE(std::holds_alternative<Awaited>(resolver.step(steady_clock::now())));
  const Resolved resolved = finish(resolver);
  ASSERT_TRUE(std::holds_alternative<Failure>(resolved));
  EXPECT_EQ(std::get<Failure>(resolved).kind, Failure::Kind::unreachable);
  EXPECT_THAT(std::get<Failure>(resolved).text, HasSubstr(unknown_name));
}

}  // namespace
}  // namespace redismutex::net
