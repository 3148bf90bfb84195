// How sentinels are asked, step by step; the test is the sentinels. No step waits, and the time that the steps are told is the test's own.

#include "net/sentinels.hpp"

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>

#include "unit/net/peer.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using SentinelsStep = std::variant<Awaited, ServerAddress, Failure>;

constexpr auto sentinels_greeting = "%2\r\n+mode\r\n+sentinel\r\n+version\r\n+7.0.0\r\n"sv;
constexpr auto answers =
    "%3\r\n+ip\r\n+10.0.0.7\r\n+port\r\n+6379\r\n+config-epoch\r\n+1\r\n*2\r\n+10.0.0.7\r\n+6379\r\n*0\r\n"sv;
constexpr auto later_answers =
    "%3\r\n+ip\r\n+10.0.0.8\r\n+port\r\n+6379\r\n+config-epoch\r\n+2\r\n*2\r\n+10.0.0.8\r\n+6379\r\n*0\r\n"sv;

/// A sentinel to be, to which a client may connect in any case. It speaks to one of them.
class SentinelsDoor {
 public:
  SentinelsDoor() : listening_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (::bind(listening_.get(), any, size) != 0 || ::listen(listening_.get(), 8) != 0 ||
        ::getsockname(listening_.get(), any, &size) != 0) {
      throw std::runtime_error{"no door"};
    }
    port_ = ntohs(address.sin_port);
  }

  ~SentinelsDoor() {
    if (thread_.joinable()) thread_.join();
  }

  ServerAddress address() const { return {"127.0.0.1", port_}; }

  /// Whether all of what it had to say has reached the other end.
  bool has_said_all() const noexcept { return has_said_all_; }

  /// From now on it lets the next one in, and when that one has asked its last question does `then`, which returns whether it could say
  /// everything.
  void serve(std::function<bool(const Peer&)> then) {
    thread_ = std::thread{[this, then = std::move(then)] {
      const int fd = ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      Peer peer{Descriptor{fd}};
      while (const auto words = peer.receive()) {
        if (words->front() == "HELLO") {
          peer.send(sentinels_greeting);
        } else if (words->front() != "SENTINEL") {
          peer.send("+OK\r\n");
        } else if (words->at(1) == "SENTINELS") {
          const bool is_sent = then(peer);
          int on_its_way = 1;
          while (is_sent && ::ioctl(fd, SIOCOUTQ, &on_its_way) == 0 && on_its_way > 0) std::this_thread::yield();
          has_said_all_ = is_sent;
        }
      }
    }};
  }

 private:
  const Descriptor listening_;
  std::uint16_t port_ = 0;
  std::atomic<bool> has_said_all_{false};
  std::thread thread_;
};

struct SentinelsTest : ::testing::Test {
  static ConnectionOptions options(std::initializer_list<const SentinelsDoor*> doors,
                                   std::chrono::milliseconds connect_timeout) {
    ConnectionOptions options{.connect_timeout = connect_timeout, .command_timeout = 2000ms};
    options.kind = ConnectionOptions::Kind::sentinel;
    for (const SentinelsDoor* door : doors) options.nodes.push_back(door->address());
    options.master = "mymaster";
    return options;
  }

  /// Steps at that time until there is an outcome, or what is awaited is so.
  static SentinelsStep step_until(SentinelSearch& search, Deadline time,
                                  const std::function<bool(const Awaited&)>& is_so) {
    for (;;) {
      auto step = search.step(time);
      const auto* awaited = std::get_if<Awaited>(&step);
      if (awaited == nullptr || is_so(*awaited)) return step;
      pollfd polled{awaited->fd, awaited->events, 0};
      ::poll(&polled, 1, 10);
    }
  }

  SentinelsDoor door;
  const Deadline begun = std::chrono::steady_clock::now();
};

// One that sends without end what nobody has asked for keeps the caller neither from its time limit nor from others: a step comes to an
// end although there is more to read.
TEST_F(SentinelsTest, OneThatTalksWithoutEndIsCutShort) {
  door.serve([](const Peer& peer) {
    std::string news;
    while (news.size() < 1'000'000) news += ">2\r\n+news\r\n+none\r\n";
    for (int i = 0; i < 64; ++i) {
      if (!peer.send(news)) return false;
    }
    return true;
  });
  const ConnectionOptions used = options({&door}, 1000ms);
  Sentinels sentinels{used};
  const auto search = sentinels.ask_all(begun);
  const auto step = step_until(*search, begun + 1ms, [&](const Awaited& awaited) {
    return door.has_said_all() || awaited.until == begun + 1ms;
  });
  ASSERT_TRUE(std::holds_alternative<Awaited>(step));
  EXPECT_EQ(std::get<Awaited>(step).until, begun + 1ms) << "it goes on at once";
}

// One that does not answer is not waited for until there is no time to reach the server that others name.
TEST_F(SentinelsTest, TimeIsLeftForTheServer) {
  const SentinelsDoor silent;
  door.serve([](const Peer& peer) { return peer.send(answers); });
  const ConnectionOptions used = options({&silent, &door}, 150ms);
  Sentinels sentinels{used};
  const auto search = sentinels.ask_all(begun);
  // What the one says is read before that.
  const auto waits = step_until(*search, begun + 1ms, [&](const Awaited& awaited) {
    pollfd polled{awaited.fd, awaited.events, 0};
    return door.has_said_all() && ::poll(&polled, 1, 0) == 0;
  });
  ASSERT_TRUE(std::holds_alternative<Awaited>(waits));
  EXPECT_EQ(std::get<Awaited>(waits).until, begun + 50ms);
  const auto step =
      step_until(*search, begun + 50ms, [&](const Awaited& awaited) { return awaited.until > begun + 50ms; });
  ASSERT_TRUE(std::holds_alternative<ServerAddress>(step));
  EXPECT_EQ(std::get<ServerAddress>(step), (ServerAddress{"10.0.0.7", 6379}));
}

// Whoever has a server already leaves it by the word of most, or when there is nobody else to ask: one that answers sooner than the others may
// know no better.
TEST_F(SentinelsTest, AServerIsNotLeftByTheWordOfAFew) {
  const SentinelsDoor slow, slower;
  door.serve([](const Peer& peer) { return peer.send(answers); });
  const ConnectionOptions used = options({&slow, &door, &slower}, 1500ms);
  Sentinels sentinels{used};
  const auto search = sentinels.ask_most(begun);
  const auto waits = step_until(*search, begun + 1ms, [&](const Awaited& awaited) {
    pollfd polled{awaited.fd, awaited.events, 0};
    return door.has_said_all() && ::poll(&polled, 1, 0) == 0;
  });
  ASSERT_TRUE(std::holds_alternative<Awaited>(waits));
  EXPECT_TRUE(std::holds_alternative<Awaited>(search->step(begun + 1499ms)));
  const auto step = search->step(begun + 1500ms);
  const auto* failure = std::get_if<Failure>(&step);
  EXPECT_TRUE(std::holds_alternative<ServerAddress>(step))
      << "the others do not answer; " << (failure != nullptr ? failure->text : "");
}

// One that is cut off goes on naming what was. It is not believed because it happens to be the only one that answers for a moment, whoever has
// heard of the later failover before.
TEST_F(SentinelsTest, WhatWasIsNotBelievedAtOnce) {
  const SentinelsDoor silent;
  SentinelsDoor old, old_again;
  door.serve([](const Peer& peer) { return peer.send(later_answers); });
  for (SentinelsDoor* const each : {&old, &old_again}) {
    each->serve([](const Peer& peer) { return peer.send(answers); });
  }
  // What the one says is read first.
  const auto begin = [&](SentinelSearch& search, const SentinelsDoor& talks, Deadline time) {
    return step_until(search, time, [&](const Awaited& awaited) {
      pollfd polled{awaited.fd, awaited.events, 0};
      return talks.has_said_all() && ::poll(&polled, 1, 0) == 0;
    });
  };
  const ConnectionOptions all = options({&door, &old}, 150ms);
  Sentinels sentinels{all};
  const auto first = begin(*sentinels.ask_next(begun), old, begun);
  EXPECT_EQ(std::get<ServerAddress>(first).host, "10.0.0.7") << "nothing else was heard";
  const auto second = begin(*sentinels.ask_next(begun), door, begun);
  EXPECT_EQ(std::get<ServerAddress>(second).host, "10.0.0.8");

  const ConnectionOptions few = options({&silent, &old_again}, 150ms);
  Sentinels others{few, sentinels};
  const auto search = others.ask_all(begun);
  begin(*search, old_again, begun + 1ms);
  const auto waits = search->step(begun + 50ms);
  ASSERT_TRUE(std::holds_alternative<Awaited>(waits)) << "for the other one";
  EXPECT_EQ(std::get<Awaited>(waits).until, begun + 150ms);
  const auto failed = search->step(begun + 150ms);
  EXPECT_TRUE(std::holds_alternative<Failure>(failed)) << "they had from 50 ms on";
}

// The one that can be reached may be cut off together with a master that was replaced, and that one goes on being a master.
TEST_F(SentinelsTest, AServerIsNotLeftForALowerEpochByTheWordOfAFew) {
  const ServerAddress gone = SentinelsDoor{}.address();
  SentinelsDoor zeroth_old, first_old, second_old, third_old, fourth_old;
  door.serve([](const Peer& peer) { return peer.send(later_answers); });
  for (SentinelsDoor* const old : {&zeroth_old, &first_old, &second_old, &third_old, &fourth_old}) {
    old->serve([](const Peer& peer) { return peer.send(answers); });
  }
  const auto outcome = [](SentinelSearch& search, Deadline time) {
    return step_until(search, time, [](const Awaited&) { return false; });
  };
  const ConnectionOptions all = options({&door}, 150ms);
  Sentinels sentinels{all};
  EXPECT_EQ(std::get<ServerAddress>(outcome(*sentinels.ask_next(begun), begun)).host, "10.0.0.8");

  ConnectionOptions three = options({&first_old}, 150ms);
  three.nodes.insert(three.nodes.end(), 2, gone);
  Sentinels few{three, sentinels};
  // The others have had their time by then.
  const Deadline later = begun + 151ms;
  const ConnectionOptions before = options({&zeroth_old}, 150ms);
  Sentinels refused{before, sentinels};
  EXPECT_TRUE(std::holds_alternative<Failure>(outcome(*refused.ask_all(begun), begun)));
  EXPECT_TRUE(std::holds_alternative<Failure>(outcome(*few.ask_most(later), later))) << "one of three";

  const ConnectionOptions one = options({&second_old}, 150ms);
  Sentinels alone{one, sentinels};
  EXPECT_TRUE(std::holds_alternative<Failure>(outcome(*alone.ask_next(later), later))) << "the others were not asked";

  three.nodes = {third_old.address(), gone, fourth_old.address()};
  Sentinels most{three, sentinels};
  const auto step = outcome(*most.ask_most(later), later);
  ASSERT_TRUE(std::holds_alternative<ServerAddress>(step)) << "as where the sentinels were set up anew";
  EXPECT_EQ(std::get<ServerAddress>(step).host, "10.0.0.7");
}

TEST(FollowedEpoch, ALowerOneIsFollowedAfterAWhile) {
  FollowedEpoch followed{100ms};
  const Deadline begun{};
  EXPECT_TRUE(followed.follow(5, begun));
  EXPECT_TRUE(followed.follow(5, begun));
  EXPECT_EQ(followed.allows_any_at(), Deadline::max());
  EXPECT_FALSE(followed.follow(4, begun + 1ms));
  EXPECT_EQ(followed.allows_any_at(), begun + 101ms);
  EXPECT_FALSE(followed.allows(4, begun + 100ms));
  EXPECT_TRUE(followed.follow(6, begun + 100ms)) << "somebody knew better";
  EXPECT_FALSE(followed.follow(5, begun + 101ms));
  EXPECT_TRUE(followed.allows(5, begun + 201ms));
  // As where the sentinels were set up anew.
  EXPECT_TRUE(followed.follow(0, begun + 201ms));
  EXPECT_TRUE(followed.follow(1, begun + 202ms));
  EXPECT_FALSE(followed.follow(0, begun + 203ms));
}

// What was refused long ago gives those who are asked now no time.
TEST(FollowedEpoch, ALowerOneIsRefusedAnewWhenNobodyHasAskedForAWhile) {
  FollowedEpoch followed{2000ms};
  const Deadline begun{};
  EXPECT_TRUE(followed.follow(5, begun));
  EXPECT_FALSE(followed.allows(4, begun + 1s));
  EXPECT_FALSE(followed.follow(4, begun + 1h));
  EXPECT_EQ(followed.allows_any_at(), begun + 1h + 2s);
  EXPECT_TRUE(followed.follow(4, begun + 1h + 2s));
}

// Each try of one who tries now and then ends a little before the time that others have is over; the next one goes on from there.
TEST(FollowedEpoch, ALowerOneIsFollowedBySomebodyWhoTriesNowAndThen) {
  FollowedEpoch followed{2000ms};
  const Deadline begun{};
  EXPECT_TRUE(followed.follow(5, begun));
  const auto tries = [&](Deadline at) {
    for (auto asked = 1ms; asked < 2000ms; asked += 250ms) {
      if (followed.follow(4, at + asked)) return true;
    }
    return false;
  };
  EXPECT_FALSE(tries(begun + 1min));
  EXPECT_TRUE(tries(begun + 2min));
}

// Who verifies a server does that once a second, however short the time is that others have.
TEST(FollowedEpoch, ALowerOneThatIsToldOfEachSecondIsFollowed) {
  FollowedEpoch followed{100ms};
  const Deadline begun{};
  EXPECT_TRUE(followed.follow(5, begun));
  EXPECT_FALSE(followed.follow(4, begun + 1s));
  EXPECT_TRUE(followed.follow(4, begun + 2s));
}

}  // namespace
}  // namespace redismutex::net
