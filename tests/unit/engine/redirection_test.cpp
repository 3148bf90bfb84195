// A request on its way among the servers of a cluster, step by step: the test is the driver.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/conversation.hpp"
#include "protocol/acquire.hpp"
#include "protocol/extend.hpp"
#include "protocol/slot.hpp"
#include "route/cluster.hpp"
#include "unit/engine/fakes.hpp"
#include "unit/protocol/steps.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using protocol::Answer;
using protocol::Extend;
using protocol::Instant;
using route::Failure;
using route::Procedure;
using ::testing::ElementsAre;
using Kind = Failure::Kind;
using Step = Procedure::Step;

class RedirectionTest : public ::testing::Test {
 protected:
  testing::FakeEnvironment environment;
  std::list<route::Server> servers;
  std::vector<std::string> made;
  int doubts = 0;
  route::Cluster cluster{{{"one", 1}, {"two", 2}}, [this](const ServerAddress& address) -> route::Server& {
                           made.push_back(address.host + " " + std::to_string(address.port));
                           return servers.emplace_back(environment, made.back(), [](std::string_view) {});
                         }};
  const protocol::Key key{"key"};
  const protocol::OwnerId id{{}};
  const std::uint16_t slot = protocol::slot_of("key");
  std::optional<Extend> machine;
  std::optional<Conversation> conversation;
  std::uint64_t link = 0;

  void SetUp() override {
    cluster.on_doubt([this] { ++doubts; });
  }

  Instant now() const { return environment.now(); }
  std::string refusal(const std::string& kind, const std::string& to) const {
    return kind + " " + std::to_string(slot) + " " + to;
  }
  void know(const ServerAddress& master) { cluster.take_in({.ranges = {{0, 16383, master}}, .replicas = {}}); }

  Step start(protocol::Tracking tracking = protocol::Tracking::off) {
    machine.emplace(key, id, Extend::Terms{.expiry = 7s, .tracking = tracking});
    conversation.emplace(environment, cluster, *machine, Conversation::Terms{.deadline = now() + 10s, .patience = 2s});
    return conversation->start(now());
  }
  Step resume(Procedure::Event event) { return conversation->resume(std::move(event), now()); }
  Step reached(route::Server& server) {
    if (server.live_link() == 0) {
      server.begin(++link,
                   {.client_id = 1, .server = "valkey", .version = {9, 0, 0}, .role = "master", .mode = "cluster"});
    }
    return resume(Procedure::Reached{server.live_link()});
  }
  Step answer(std::vector<Answer> answers) { return resume(Procedure::Answered{answers}); }

  /// Where it wants to go; none: it wants something else.
  static const route::Server* goes_to(const Step& step) {
    const auto* reach = std::get_if<Procedure::Reach>(&step);
    return reach != nullptr ? reach->at : nullptr;
  }
  std::string name_of(const Step& step) const {
    const route::Server* const server = goes_to(step);
    return server != nullptr ? server->name() : "";
  }
  static std::vector<std::string> sent(const Step& step) {
    std::vector<std::string> words;
    const auto* send = std::get_if<Procedure::Send>(&step);
    if (send == nullptr) return words;
    for (const Procedure::Command& command : send->commands) words.emplace_back(command.arguments.front());
    return words;
  }
  bool is_extended() const { return std::holds_alternative<Extend::Extended>(machine->outcome()); }
};

// It goes there at once, and so do later ones.
TEST_F(RedirectionTest, MovedIsLearnt) {
  EXPECT_EQ(name_of(start()), "one 1");
  reached(servers.front());
  const Step step = answer({protocol::error(refusal("MOVED", "three:3"))});
  EXPECT_EQ(name_of(step), "three 3");
  EXPECT_THAT(sent(reached(servers.back())), ElementsAre("EVALSHA"));
  EXPECT_TRUE(std::holds_alternative<Procedure::Done>(answer({protocol::integers({1})})));
  EXPECT_TRUE(is_extended());
  EXPECT_EQ(&conversation->authority(), &servers.back());
  EXPECT_GT(doubts, 0) << "where one has moved others have";
  EXPECT_EQ(name_of(start()), "three 3");
}

// The host that was asked, if the server does not say.
TEST_F(RedirectionTest, MovedToAnotherPort) {
  start();
  reached(servers.front());
  EXPECT_EQ(name_of(answer({protocol::error(refusal("MOVED", ":7"))})), "one 7");
  reached(servers.back());
  EXPECT_EQ(name_of(answer({protocol::error(refusal("MOVED", "::1:8"))})), "::1 8") << "of version 6, without brackets";
}

TEST_F(RedirectionTest, AMoveThatCanNotBeReadIsTold) {
  start();
  reached(servers.front());
  EXPECT_TRUE(std::holds_alternative<Procedure::Done>(answer({protocol::error("MOVED somewhere")})));
  EXPECT_TRUE(std::holds_alternative<protocol::Refusal>(machine->outcome()));
}

// Servers that do not agree are given time, after some times to and fro.
TEST_F(RedirectionTest, PingPong) {
  know({"one", 1});
  Step step = start();
  reached(servers.front());
  int hops = 0;
  for (step = answer({protocol::error(refusal("MOVED", "two:2"))}); goes_to(step) != nullptr;
       step = answer({protocol::error(refusal("MOVED", hops % 2 == 0 ? "two:2" : "one:1"))})) {
    ASSERT_LT(++hops, 10);
    reached(const_cast<route::Server&>(*goes_to(step)));
  }
  EXPECT_EQ(hops, 5);
  const auto* sleep = std::get_if<Procedure::Sleep>(&step);
  ASSERT_NE(sleep, nullptr);
  EXPECT_LE(sleep->until, now() + 250ms);
  environment.set(sleep->until);
  EXPECT_NE(goes_to(resume(Procedure::Woken{})), nullptr);
}

// Once, with ASKING right in front of the command, and without tracking. The map stays.
TEST_F(RedirectionTest, AskIsForOnce) {
  know({"one", 1});
  EXPECT_EQ(name_of(start(protocol::Tracking::on)), "one 1");
  // For changes of a key no channel is needed.
  EXPECT_THAT(sent(reached(servers.front())), ElementsAre("CLIENT", "CLIENT", "EVALSHA"));
  EXPECT_EQ(name_of(answer({protocol::text("OK"), protocol::error(refusal("ASK", "two:2"))})), "two 2");
  EXPECT_THAT(sent(reached(servers.back())), ElementsAre("ASKING", "EVALSHA"));
  // It does not know the script yet: ASKING counts for one command only.
  const Step loads = answer({protocol::error("NOSCRIPT No matching script.")});
  const std::vector<std::string> words = sent(loads);
  ASSERT_GE(words.size(), 3U);
  EXPECT_EQ(words[words.size() - 2], "ASKING");
  EXPECT_EQ(words.back(), "EVALSHA");
  EXPECT_TRUE(std::holds_alternative<Procedure::Done>(answer({protocol::text("sha"), protocol::integers({1})})));
  EXPECT_TRUE(is_extended());
  EXPECT_TRUE(conversation->asks_once());
  EXPECT_EQ(&conversation->authority(), &servers.front()) << "the slot is its still";
  EXPECT_EQ(name_of(start()), "one 1");
}

// One key is enough to extend a lease, while its line may be elsewhere.
TEST_F(RedirectionTest, TryAgainAsksForOneKey) {
  know({"one", 1});
  start();
  reached(servers.front());
  const Step step = answer({protocol::error("TRYAGAIN Multiple keys request during rehashing of slot")});
  EXPECT_EQ(name_of(step), "one 1");
  const Step narrow = reached(servers.front());
  const auto& words = std::get<Procedure::Send>(narrow).commands.back().arguments;
  EXPECT_EQ(words[2], "1");
  EXPECT_EQ(words[3], "key");
  EXPECT_TRUE(std::holds_alternative<Procedure::Done>(answer({protocol::integers({1})})));
  EXPECT_TRUE(is_extended());
}

TEST_F(RedirectionTest, AClusterThatIsDownIsWaitedFor) {
  know({"one", 1});
  start();
  reached(servers.front());
  const int before = doubts;
  const Step step = answer({protocol::error("CLUSTERDOWN Hash slot not served")});
  const auto* sleep = std::get_if<Procedure::Sleep>(&step);
  ASSERT_NE(sleep, nullptr);
  EXPECT_GT(sleep->until, now());
  EXPECT_LE(sleep->until, now() + 250ms);
  EXPECT_GT(doubts, before);
  know({"two", 2});
  environment.set(sleep->until);
  EXPECT_EQ(name_of(resume(Procedure::Woken{})), "two 2");
}

// Another one takes over what it had; for a lease that was to be given back that is left to the background.
TEST_F(RedirectionTest, AServerThatIsAwayIsWaitedOut) {
  know({"one", 1});
  const Step reach = start();
  EXPECT_LT(std::get<Procedure::Reach>(reach).until, now() + 1s) << "that one is not waited for";
  const Step step = resume(Procedure::Unreached{{Kind::unreachable, "refused"}});
  const auto* sleep = std::get_if<Procedure::Sleep>(&step);
  ASSERT_NE(sleep, nullptr);
  EXPECT_GT(doubts, 0);
  know({"two", 2});
  environment.set(sleep->until);
  EXPECT_EQ(name_of(resume(Procedure::Woken{})), "two 2");
}

// Before any server was reached the next seed is tried; and when none of them is there, that is told at once.
TEST_F(RedirectionTest, SeedsAreTriedInTurn) {
  EXPECT_EQ(name_of(start()), "one 1");
  EXPECT_EQ(name_of(resume(Procedure::Unreached{{Kind::unreachable, "refused"}})), "two 2");
  EXPECT_TRUE(std::holds_alternative<Procedure::Done>(resume(Procedure::Unreached{{Kind::unreachable, "refused"}})));
  ASSERT_TRUE(conversation->failure());
  EXPECT_EQ(conversation->failure()->kind, Kind::unreachable);
}

// A place in line names a channel of the server where the key is, whatever was guessed before.
TEST_F(RedirectionTest, TheChannelIsThatOfTheKeysServer) {
  const std::string guess = servers.front().pushes().mailbox(slot);
  protocol::Acquire acquire{key, id, {.expiry = 7s, .wait_until = now() + 5s, .delay = 500ms, .mailbox = guess}};
  conversation.emplace(environment, cluster, acquire, Conversation::Terms{.deadline = now() + 5s, .patience = 2s});
  conversation->start(now());
  reached(servers.front());
  answer({protocol::error(refusal("MOVED", "three:3"))});
  reached(servers.back());
  EXPECT_EQ(acquire.mailbox(), servers.back().pushes().mailbox(slot));
  answer({protocol::nothing()});
  const Step opens = reached(servers.back());
  ASSERT_THAT(sent(opens), ElementsAre("SSUBSCRIBE", "CLIENT", "EVALSHA"));
  const std::string channel{std::get<Procedure::Send>(opens).commands.front().arguments[1]};
  EXPECT_EQ(protocol::slot_of(channel), slot);
}

// While the keys of a lock are apart it is tried for alone, now and then.
TEST_F(RedirectionTest, AWaiterTriesForTheKeyAlone) {
  know({"one", 1});
  protocol::Acquire acquire{key, id, {.expiry = 7s, .wait_until = now() + 5s, .delay = 500ms}};
  conversation.emplace(environment, cluster, acquire, Conversation::Terms{.deadline = now() + 5s, .patience = 2s});
  conversation->start(now());
  Instant::duration longest{0};
  for (int i = 0; i < 12; ++i) {
    EXPECT_THAT(sent(reached(servers.front())), ElementsAre("SET"));
    answer({protocol::nothing()});
    EXPECT_EQ(sent(reached(servers.front())).back(), "EVALSHA");
    std::vector<Answer> answers{protocol::error("TRYAGAIN Multiple keys request during rehashing of slot")};
    if (i == 0) answers.insert(answers.begin(), 2, protocol::text("OK"));  // to SSUBSCRIBE and CLIENT TRACKING
    const Step step = answer(answers);
    const auto* sleep = std::get_if<Procedure::Sleep>(&step);
    ASSERT_NE(sleep, nullptr);
    EXPECT_TRUE(sleep->listens);
    longest = std::max<Instant::duration>(longest, sleep->until - now());
    EXPECT_GE(sleep->until, now() + 5ms);
    environment.set(sleep->until);
    resume(Procedure::Woken{});
  }
  EXPECT_LE(longest, 100ms);
  EXPECT_GE(longest, 50ms);
}

}  // namespace
}  // namespace redismutex::engine
