// An attempt to reach a server, step by step; the test is the server. No step waits, and the time that the steps are told is the
// test's own.

#include "net/attempt.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>

#include "support/temp_dir.hpp"
#include "unit/net/peer.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;
using Kind = Failure::Kind;
using AttemptStep = std::variant<Awaited, LoggedIn, Failure>;

constexpr auto plain_greeting = "%2\r\n+server\r\n+redis\r\n+id\r\n:7\r\n"sv;

/// Where a server listens.
class Door {
 public:
  Door() : listening_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path().c_str(), path().size() + 1);
    if (::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listening_.get(), 8) != 0) {
      throw std::runtime_error{"no door"};
    }
  }

  std::string path() const { return directory_.file("door"); }

  Peer accept() const {
    const int fd = ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) throw std::runtime_error{"nobody at the door"};
    return Peer{Descriptor{fd}};
  }

 private:
  const testing::TempDir directory_;
  const Descriptor listening_;
};

struct AttemptTest : ::testing::Test {
  ConnectionOptions options() const {
    return {.unix_socket = door.path(), .connect_timeout = 2000ms, .command_timeout = 1500ms};
  }

  Attempt begin() { return Attempt{dialler, begun}; }

  /// One step, and what it awaits. The result is kept if there is one.
  std::optional<Awaited> awaited(Attempt& attempt, std::chrono::milliseconds after = 1ms) {
    last = attempt.step(begun + after);
    const auto* waits = std::get_if<Awaited>(&*last);
    return waits == nullptr ? std::nullopt : std::optional{*waits};
  }

  Failure failure() const {
    return last && std::holds_alternative<Failure>(*last) ? std::get<Failure>(*last) : Failure{Kind::cancelled, "none"};
  }

  const Door door;
  const ConnectionOptions used = options();
  Dialler dialler{used, [](const Greeting& from) { return "number-" + std::to_string(from.client_id); }};
  const Deadline begun = std::chrono::steady_clock::now();
  std::optional<AttemptStep> last;
};

// Each step does what can be done, and says what it waits for. Nobody has to be there in between.
TEST_F(AttemptTest, GoesOnWhereItIs) {
  Attempt attempt = begin();
  const auto waits = awaited(attempt);
  ASSERT_TRUE(waits);
  EXPECT_EQ(waits->events, POLLIN);
  EXPECT_EQ(waits->until, begun + 1ms + 1500ms) << "the answer's own limit";
  Peer peer = door.accept();
  EXPECT_THAT(peer.receive(), Optional(ElementsAre("HELLO", "3")));

  for (const char c : plain_greeting.substr(0, plain_greeting.size() - 1)) {
    peer.send({&c, 1});
    const auto still = awaited(attempt, 2ms);
    ASSERT_TRUE(still);
    EXPECT_EQ(still->fd, waits->fd) << "the same socket";
  }
  peer.send(plain_greeting.substr(plain_greeting.size() - 1));
  EXPECT_FALSE(awaited(attempt, 3ms));
  ASSERT_TRUE(std::holds_alternative<LoggedIn>(*last));
  auto& logged_in = std::get<LoggedIn>(*last);
  EXPECT_EQ(logged_in.greeting.client_id, 7);
  EXPECT_EQ(logged_in.stream->fd(), waits->fd);
  EXPECT_EQ(logged_in.wire.in_flight(), 1U) << "the name";
  EXPECT_EQ(logged_in.wire.unsent(), 0U);
  EXPECT_THAT(peer.receive(), Optional(ElementsAre("HELLO", "3", "SETNAME", "number-7")));
}

// What came behind the greeting is not lost on the way to whoever uses the connection.
TEST_F(AttemptTest, HandsOverWhatCameBehind) {
  Attempt attempt = begin();
  (void)awaited(attempt);
  const Peer peer = door.accept();
  peer.send(std::string{plain_greeting} + ">2\r\n+news\r\n+bet");
  EXPECT_FALSE(awaited(attempt));
  ASSERT_TRUE(std::holds_alternative<LoggedIn>(*last));
  Calls over;
  std::vector<Reply> pushes;
  std::get<LoggedIn>(*last).wire.received("ter\r\n", over, pushes);
  ASSERT_EQ(pushes.size(), 1U);
  EXPECT_EQ((*pushes[0])[1].text(), "better");
}

TEST_F(AttemptTest, EndsWithItsLimit) {
  ConnectionOptions slow = options();
  slow.command_timeout = 5000ms;
  Dialler there{slow, [](const Greeting&) { return std::string{}; }};
  Attempt attempt{there, begun};
  EXPECT_EQ(attempt.limit(), begun + 2000ms);
  const auto waits = awaited(attempt, 1ms);
  ASSERT_TRUE(waits);
  EXPECT_EQ(waits->until, attempt.limit());
  const Peer peer = door.accept();
  peer.send("%2\r\n");
  EXPECT_TRUE(awaited(attempt, 1999ms));
  EXPECT_EQ(attempt.unfinished().kind, Kind::timed_out);
  EXPECT_FALSE(awaited(attempt, 2000ms));
  EXPECT_EQ(failure().kind, Kind::timed_out);
  EXPECT_EQ(failure().text, "no answer to the login within 2000 ms (connect_timeout)");
}

// The one who drives it may have been away for long: what has come by then counts.
TEST_F(AttemptTest, IsNotLateIfAllIsThere) {
  Attempt attempt = begin();
  EXPECT_TRUE(awaited(attempt));
  const Peer peer = door.accept();
  peer.send(plain_greeting);
  EXPECT_FALSE(awaited(attempt, 5000ms));
  EXPECT_TRUE(std::holds_alternative<LoggedIn>(*last));
}

TEST_F(AttemptTest, AnAnswerMayBeOverdue) {
  Attempt attempt = begin();
  EXPECT_TRUE(awaited(attempt, 0ms));
  EXPECT_TRUE(awaited(attempt, 1499ms));
  EXPECT_FALSE(awaited(attempt, 1500ms));
  EXPECT_EQ(failure().kind, Kind::unreachable);
  EXPECT_THAT(failure().text, HasSubstr("no answer within 1500 ms (command_timeout)"));
}

TEST_F(AttemptTest, ClosedAtTheDoor) {
  Attempt attempt = begin();
  EXPECT_TRUE(awaited(attempt));
  { const Peer peer = door.accept(); }
  EXPECT_FALSE(awaited(attempt));
  EXPECT_EQ(failure().kind, Kind::unreachable);
  EXPECT_THAT(failure().text, HasSubstr("rediss://"));
}

// A server that is full says so before it is asked, and closes: that reason is told, not that the connection broke.
TEST_F(AttemptTest, ReadsTheReasonBeforeTheEnd) {
  Attempt attempt = begin();
  EXPECT_TRUE(awaited(attempt));
  {
    const Peer peer = door.accept();
    peer.send("-ERR max number of clients reached\r\n");
  }
  EXPECT_FALSE(awaited(attempt));
  EXPECT_EQ(failure().kind, Kind::turned_away);
}

TEST_F(AttemptTest, NobodyAtTheDoor) {
  ConnectionOptions nowhere = options();
  nowhere.unix_socket += "-not";
  Dialler there{nowhere, [](const Greeting&) { return std::string{}; }};
  Attempt attempt{there, begun};
  EXPECT_FALSE(awaited(attempt));
  EXPECT_EQ(failure().kind, Kind::unreachable);
}

// What talks without end does not keep a step from coming to its own.
TEST_F(AttemptTest, AStepEndsWhileTheServerTalks) {
  ConnectionOptions slow = options();
  slow.command_timeout = 5000ms;
  Dialler there{slow, [](const Greeting&) { return std::string{}; }};
  auto attempt = std::make_unique<Attempt>(there, begun);
  EXPECT_TRUE(awaited(*attempt));
  const Peer peer = door.accept();
  std::string news;
  for (int i = 0; i < 4000; ++i) news += ">1\r\n+news\r\n";
  const std::jthread talks{[&] {
    while (peer.send(news)) {
    }
  }};
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(awaited(*attempt));
  EXPECT_FALSE(awaited(*attempt, 3000ms));
  EXPECT_EQ(failure().kind, Kind::timed_out);
  attempt.reset();  // its socket ends the talk
}

TEST_F(AttemptTest, RubbishIsNoServer) {
  Attempt attempt = begin();
  EXPECT_TRUE(awaited(attempt));
  const Peer peer = door.accept();
  peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_FALSE(awaited(attempt));
  EXPECT_EQ(failure().kind, Kind::unusable);
}

TEST_F(AttemptTest, LooksUpAndConnects) {
  ConnectionOptions by_name = options();
  by_name.unix_socket.clear();
  by_name.host = "no-such-host.invalid";
  Dialler there{by_name, [](const Greeting&) { return std::string{}; }};
  Attempt attempt{there, begun};
  while (const auto waits = awaited(attempt)) {
    EXPECT_THAT(attempt.unfinished().text, HasSubstr("looking up 'no-such-host.invalid'"));
    ASSERT_EQ(poll_until({waits->fd, waits->events, far()}, nullptr), Polled::ready);
  }
  EXPECT_THAT(failure().text, HasSubstr("cannot look up"));
}

}  // namespace
}  // namespace redismutex::net
