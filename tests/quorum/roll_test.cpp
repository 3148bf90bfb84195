// What the servers of a quorum say of themselves: one that is named twice has one vote, and one that was just started may have none yet.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <string>
#include <vector>

#include "integration/stopwatch.hpp"
#include "integration/thrown.hpp"
#include "quorum/with_quorum.hpp"
#include "support/proxy.hpp"

namespace redismutex {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::eventually;
using ::testing::Ge;
using ::testing::HasSubstr;
using testing::limit;
using testing::patient;
using testing::Proxy;
using testing::thrown;

struct QuorumRoll : testing::WithQuorum {
  static Connection member(const std::string& path, const ConnectionOptions& options = {}) {
    ConnectionOptions one = options;
    one.unix_socket = path;
    return Connection{one};
  }

  /// Not always the first time: who answers too late is found with the next lock.
  static std::string refusal(const RedisMutex& mutex, bool waits) {
    std::string text;
    EXPECT_TRUE(eventually(limit, [&] {
      try {
        static_cast<void>(waits ? std::optional{mutex.acquire_lock("job")} : mutex.try_acquire_lock("job"));
      } catch (const ConnectionError& error) {
        text = error.what();
      }
      return !text.empty();
    }));
    return text;
  }

  static int uptime(testing::Server& server) {
    const std::string info = server.command({"INFO", "server"}).text;
    const std::string field = "uptime_in_seconds:";
    return std::stoi(info.substr(info.find(field) + field.size()));
  }

  static Connection with_grace(std::chrono::milliseconds grace, const ConnectionOptions& options = {}) {
    std::vector<Connection> members;
    for (testing::Server& server : servers()) members.push_back(member(server.socket_path(), options));
    return Connection::quorum(members, {.grace = grace});
  }
};

/// The same place by another name.
std::string alias_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return path.substr(0, slash) + "/." + path.substr(slash);
}

// ---- one server, one vote -------------------------------------------------------------------------------------------

TEST_F(QuorumRoll, OneThatIsNamedTwiceIsRefusedByBothNames) {
  const std::string& path = servers()[1].socket_path();
  const auto names_both = [&] {
    return AllOf(HasSubstr("'job'"), HasSubstr(path + " and "), HasSubstr(alias_of(path) + " lead to one server"));
  };
  for (const bool waits : {true, false}) {
    for (const std::size_t size : {3U, 5U}) {
      std::vector<Connection> members{member(servers()[0].socket_path()), member(path), member(alias_of(path))};
      if (size == 5) {
        members.push_back(member(servers()[2].socket_path()));
        members.push_back(member(servers()[3].socket_path()));
      }
      const RedisMutex mutex{Connection::quorum(members), patient};
      EXPECT_THAT(refusal(mutex, waits), names_both()) << size << " servers";
      EXPECT_THROW(static_cast<void>(mutex.try_acquire_lock("job")), ConnectionError) << "and so it stays";
    }
  }
}

// Which server an address leads to may change: what was said on a connection that broke does not count.
TEST_F(QuorumRoll, AnAddressThatLeadsToAnotherServerNowIsThatOne) {
  Proxy proxy{servers()[1]};
  const RedisMutex mutex{Connection::quorum({member(servers()[0].socket_path()), member(servers()[1].socket_path()),
                                             Connection{proxy.url()}}),
                         patient};
  EXPECT_THAT(refusal(mutex, true), HasSubstr("lead to one server"));
  proxy.lead_to(servers()[2]);
  proxy.cut_all(testing::Ending::rst);
  EXPECT_TRUE(eventually(limit, [&] {
    try {
      return mutex.acquire_lock("job").owns_lock();
    } catch (const ConnectionError&) {
      return false;
    }
  }));
}

// It is of use for more than locks, and users may lack the right.
TEST_F(QuorumRoll, ServersThatDoNotTellWhoTheyAreVoteAllTheSame) {
  for (testing::Server& server : servers()) {
    server.command({"ACL", "SETUSER", "gil", "on", ">secret", "~*", "&*", "+@all", "-info"});
  }
  const ConnectionOptions as_gil{.username = "gil", .password = "secret"};
  {
    Lock lock = RedisMutex{servers().connection(5, as_gil), patient}.acquire_lock("job");
    EXPECT_TRUE(eventually(limit, [&] { return servers().holding("job", lock.value()) == 5; }));
  }
  const RedisMutex graceful{with_grace(10s, as_gil), patient};
  const ServerError refusal = thrown<ServerError>([&] { return graceful.acquire_lock("job"); });
  EXPECT_EQ(refusal.reason(), ServerError::Reason::no_permission);
  EXPECT_THAT(refusal.what(), AllOf(HasSubstr("QuorumOptions::grace"), HasSubstr("INFO")));
  // What is still to be given back needs the user.
  EXPECT_TRUE(eventually(limit, [] { return servers().keys().empty(); }));
  for (testing::Server& server : servers()) server.command({"ACL", "DELUSER", "gil"});
}

// ---- a server that was just started ---------------------------------------------------------------------------------

TEST_F(QuorumRoll, HasLimitsForTheGrace) {
  const auto refusal = [](std::chrono::milliseconds grace) {
    return std::string{thrown<std::invalid_argument>([&] { return with_grace(grace); }).what()};
  };
  EXPECT_THAT(refusal(-1ms), AllOf(HasSubstr("QuorumOptions::grace"), HasSubstr("-1 ms")));
  EXPECT_THAT(refusal(24h + 1ms), HasSubstr("86400000"));
}

TEST_F(QuorumRoll, AServerThatWasJustStartedHasNoVote) {
  const RedisMutex mutex{with_grace(24h), patient};
  EXPECT_THAT(
      thrown<ConnectionError>([&] { return mutex.try_acquire_lock("job"); }).what(),
      AllOf(HasSubstr("'job'"), HasSubstr("3 are needed"), HasSubstr("started less than QuorumOptions::grace")));
}

TEST_F(QuorumRoll, ItVotesOnceTheGraceIsOver) {
  for (const std::size_t i : {0U, 1U, 2U}) {
    servers()[i].stop();
    servers()[i].start();
  }
  Lock lock = RedisMutex{with_grace(1s), patient}.acquire_lock("job");
  std::size_t of_age = 0;
  for (testing::Server& server : servers()) {
    if (server.get("job") == lock.value() && uptime(server) >= 2) ++of_age;
  }
  EXPECT_THAT(of_age, Ge(3U));
}

/// A lock with a bare majority: the last two servers are away, as far as its holder can see. One of the first three is then restarted, and
/// is empty.
struct QuorumRestart : QuorumRoll {
  static constexpr auto expiry = 3s;

  Lock held_by_a_bare_majority(std::chrono::milliseconds grace) {
    std::vector<Connection> members;
    for (const std::size_t i : {0U, 1U, 2U}) members.push_back(member(servers()[i].socket_path()));
    for (const Proxy* proxy : {&to_fourth, &to_fifth}) members.emplace_back(proxy->url());
    EXPECT_TRUE(eventually(limit, [&] {
      for (testing::Server& server : servers()) {
        if (std::chrono::seconds{uptime(server)} < grace + 2s) return false;
      }
      return true;
    }));
    to_fourth.refuse();
    to_fifth.refuse();
    Lock lock =
        RedisMutex{Connection::quorum(members, {.grace = grace}), {.block_time = 2s, .expiry = expiry}}.acquire_lock(
            "job");
    servers()[2].stop();
    servers()[2].start();
    return lock;
  }

  Proxy to_fourth{servers()[3]};
  Proxy to_fifth{servers()[4]};
};

// What docs/safety.md says of bare majorities.
TEST_F(QuorumRestart, WithoutGraceALostVoteLetsARivalIn) {
  Lock lock = held_by_a_bare_majority(0s);
  EXPECT_TRUE(RedisMutex(servers().connection(), patient).try_acquire_lock("job"));
  EXPECT_TRUE(lock.owns_lock());
}

TEST_F(QuorumRestart, WithGraceNobodyIsLetInBeforeTheLeaseEnds) {
  Lock lock = held_by_a_bare_majority(expiry);
  const RedisMutex rival{with_grace(expiry), patient};
  int tries = 0;
  for (bool in = false; !in; ++tries) {
    try {
      in = rival.try_acquire_lock("job").has_value();
    } catch (const ConnectionError&) {  // the one that was restarted has no vote
      in = false;
    }
    ASSERT_FALSE(in && lock.owns_lock()) << "after " << tries << " tries";
  }
  EXPECT_THAT(tries, Ge(2));
}

}  // namespace
}  // namespace redismutex
