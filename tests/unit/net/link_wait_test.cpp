// How waits at a Link end, alone and among other threads. What goes over the wire: link_test.cpp.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "net/link.hpp"
#include "support/allocations.hpp"
#include "support/thread_switches.hpp"
#include "unit/net/peer.hpp"
#include "unit/net/waiter.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;
using Waited = Link::Waited;

// ---- memory ----

// What was asked is done when the answer comes: then it is too late to find that there is no memory to read it.
TEST(LinkWait, TheFirstReplyNeedsNoMemory) {
  Linked linked;
  Request call;
  send(linked.link, call, "SET");
  linked.peer.send("*2\r\n:12345678\r\n+as long as no short string\r\n");
  const auto before = redismutex::testing::allocations();
  ASSERT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  EXPECT_EQ(redismutex::testing::allocations(), before);
}

// ---- deadlines ----

// A deadline shorter than the reply timeout ends the wait and not the link: the late reply is dropped when it comes,
// and the next call gets its own.
TEST(LinkWait, ALateReplyIsDropped) {
  Linked linked;
  Request late, next;
  send(linked.link, late, "LATE");
  const Stopwatch watch;
  EXPECT_EQ(linked.link.wait(late, steady_clock::now() + 5ms, {}), Waited::timed_out);
  EXPECT_GE(watch.elapsed(), 5ms);
  EXPECT_LT(watch.elapsed(), promptly);
  EXPECT_FALSE(linked.link.broken());
  send(linked.link, next, "NEXT");
  linked.peer.send("+late\r\n+next\r\n");
  ASSERT_EQ(linked.link.wait(next, far(), {}), Waited::done);
  EXPECT_EQ(shown(next.reply()), "+next");
}

// On a unix socket the server's reading of the command would wake a thread that sleeps in recv(). A caller sleeps once, until the
// answer is there.
TEST(LinkWait, ACallerIsNotWokenByTheServersReading) {
  constexpr int rounds = 5;  // the least counts: there may be other reasons to sleep
  long least = rounds;
  for (int round = 0; round < rounds; ++round) {
    Linked linked;
    Request call;
    send(linked.link, call, "PING");
    long slept = 0;
    Waiter waiter{[&] {
      rusage before{}, after{};
      ::getrusage(RUSAGE_THREAD, &before);
      const Waited waited = linked.link.wait(call, far(), {});
      ::getrusage(RUSAGE_THREAD, &after);
      slept = after.ru_nvcsw - before.ru_nvcsw;
      return waited;
    }};
    waiter.until_asleep();
    EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("PING")));
    waiter.until_asleep();
    linked.peer.send("+PONG\r\n");
    EXPECT_EQ(waiter.outcome(), Waited::done);
    least = std::min(least, slept);
  }
  EXPECT_EQ(least, 1);
}

// A deadline that has passed already ends the wait at once. A thread that gives up one of its calls gives up all; but a reply that
// was read before is delivered nevertheless.
TEST(LinkWait, APassedDeadlineEndsItUnlessTheReplyIsThere) {
  Linked linked;
  const Deadline passed = steady_clock::now() - 1s;
  {
    Burst calls{2};
    for (BlockingCall& call : calls) send(linked.link, call, "PING");
    EXPECT_EQ(linked.link.wait(calls[0], passed, {}), Waited::timed_out);
    EXPECT_EQ(linked.link.wait(calls[1], far(), {}), Waited::timed_out);
  }
  Burst calls{3};
  for (BlockingCall& call : calls) send(linked.link, call, "PING");
  linked.peer.send("+0\r\n+0\r\n+0\r\n+1\r\n");
  ASSERT_EQ(linked.link.wait(calls[1], far(), {}), Waited::done);
  ASSERT_EQ(linked.link.wait(calls[0], passed, {}), Waited::done);
  EXPECT_EQ(linked.link.wait(calls[2], passed, {}), Waited::timed_out);
  EXPECT_EQ(shown(calls[1].reply()), "+1");
}

// A sleeper's deadline ends its wait while another thread goes on reading, and drops its reply.
TEST(LinkWait, ASleepersDeadlineEndsItsWait) {
  Linked linked;
  Asker leader{linked, "LEADER"};
  Asker sleeper{linked, "SLEEPER", {}, steady_clock::now() + 20ms};
  EXPECT_EQ(sleeper.outcome(), Waited::timed_out);
  linked.peer.send("+leader\r\n+sleeper\r\n");
  EXPECT_EQ(leader.reply(), "+leader");
  EXPECT_FALSE(linked.link.broken());
}

// A leader's deadline ends its wait, and the next in line reads on.
TEST(LinkWait, ALeadersDeadlineHandsTheReadingOver) {
  Linked linked;
  Asker leader{linked, "LEADER", {}, steady_clock::now() + 20ms};
  Asker sleeper{linked, "SLEEPER"};
  EXPECT_EQ(leader.outcome(), Waited::timed_out);
  linked.peer.send("+leader\r\n+sleeper\r\n");
  EXPECT_EQ(sleeper.reply(), "+sleeper");
}

// ---- the command timeout ----

// A reply that takes longer than the command timeout breaks the link, for all in flight and for the server.
TEST(LinkWait, ASlowReplyBreaksTheLinkForAll) {
  Linked linked{{.reply_timeout = 40ms}};
  const std::stop_source never;
  Request first, second;
  const Stopwatch watch;
  send(linked.link, first, "FIRST");
  send(linked.link, second, "SECOND");
  Waiter sleeper{[&] { return linked.link.wait(second, far(), never.get_token()); }};
  EXPECT_EQ(linked.link.wait(first, far(), {}), Waited::broken);
  EXPECT_GE(watch.elapsed(), 39ms);
  EXPECT_LT(watch.elapsed(), promptly);
  EXPECT_EQ(sleeper.outcome(), Waited::broken);
  EXPECT_EQ(linked.link.failure().kind, Failure::Kind::unreachable);
  EXPECT_THAT(linked.link.failure().text, HasSubstr("40 ms"));
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("FIRST")));
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("SECOND")));
  EXPECT_EQ(linked.peer.receive(), std::nullopt);
}

// The same for a call that can be stopped, whose leader polls.
TEST(LinkWait, ASlowReplyBreaksTheLinkOfAPollingLeader) {
  Linked linked{{.reply_timeout = 20ms}};
  Request call;
  std::stop_source never;
  send(linked.link, call, "PING");
  const Stopwatch watch;
  EXPECT_EQ(linked.link.wait(call, far(), never.get_token()), Waited::broken);
  EXPECT_GE(watch.elapsed(), 19ms);
  EXPECT_LT(watch.elapsed(), promptly);
  EXPECT_THAT(linked.link.failure().text, HasSubstr("20 ms"));
}

// The command timeout counts from the sending, whatever else arrives meanwhile.
TEST(LinkWait, APushDoesNotProlongTheCommandTimeout) {
  Linked linked{
      {.reply_timeout = 60ms, .on_push = [](ReplyView) { std::this_thread::sleep_for(30ms); }}};  // it came late
  Request call;
  linked.peer.send(push);
  const Stopwatch watch;
  send(linked.link, call, "PING");
  EXPECT_EQ(linked.link.wait(call, far(), {}), Waited::broken);
  EXPECT_LT(watch.elapsed(), promptly);
}

// The same for a thread that has slept for half of the time when it is handed the reading.
TEST(LinkWait, ASleepBeforeReadingDoesNotProlongTheCommandTimeout) {
  Linked linked{{.reply_timeout = 60ms}};
  const Stopwatch watch;
  Request leaders, sleepers;
  send(linked.link, leaders, "LEADER");
  send(linked.link, sleepers, "SLEEPER");
  Waiter leader{[&] { return linked.link.wait(leaders, steady_clock::now() + 30ms, {}); }};
  leader.until_asleep();
  EXPECT_EQ(linked.link.wait(sleepers, far(), {}), Waited::broken);
  EXPECT_LT(watch.elapsed(), promptly);
  EXPECT_NE(leader.outcome(), Waited::done);
}

// Nobody waits for as long as the command timeout, but all of them together: the server is hung all the same.
TEST(LinkWait, ManyWhoLeaveEarlyNoticeAHungServer) {
  Linked linked{{.reply_timeout = 40ms}};
  const Stopwatch watch;
  Waited waited{};
  do {
    Request call;
    send(linked.link, call, "PING");
    waited = linked.link.wait(call, steady_clock::now() + 5ms, {});
  } while (waited == Waited::timed_out && watch.elapsed() < limit);
  EXPECT_EQ(waited, Waited::broken);
  EXPECT_GE(watch.elapsed(), 39ms);
  EXPECT_THAT(linked.link.failure().text, HasSubstr("40 ms"));
}

// But an answer that has come, and waits to be read, is no sign of a hung server however old the command is.
TEST(LinkWait, AnUnreadAnswerIsNoSignOfAHungServer) {
  Linked linked{{.reply_timeout = 20ms}};
  Request late;
  send(linked.link, late, "LATE");
  EXPECT_EQ(linked.link.wait(late, steady_clock::now() + 1ms, {}), Waited::timed_out);
  linked.peer.send("+late\r\n");
  const Stopwatch watch;
  while (watch.elapsed() < 25ms) std::this_thread::yield();
  Request next;
  send(linked.link, next, "NEXT");
  EXPECT_EQ(linked.link.wait(next, steady_clock::now() + 1ms, {}), Waited::timed_out);
  EXPECT_FALSE(linked.link.broken());
}

// ---- a peer that takes no more data for a while ----

/// More than a socket pair holds.
const std::string long_argument(2'000'000, 'x');

// What the peer does not take goes out when it does. The sender's own limits end its wait.
TEST(LinkWait, ASenderToAFullSocketKeepsItsLimits) {
  Linked linked;
  Request first, second;
  const Stopwatch watch;
  send(linked.link, first, long_argument);
  EXPECT_EQ(linked.link.wait(first, steady_clock::now() + 5ms, {}), Waited::timed_out);
  std::stop_source stop;
  send(linked.link, second, "SECOND");
  Waiter stopped{[&] { return linked.link.wait(second, far(), stop.get_token()); }};
  stopped.until_asleep();
  stop.request_stop();
  EXPECT_EQ(stopped.outcome(), Waited::stopped);
  EXPECT_LT(watch.elapsed(), promptly);

  Request third;
  send(linked.link, third, "THIRD");
  Waiter waiter{[&] { return linked.link.wait(third, far(), {}); }};
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre(long_argument)));
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("SECOND")));
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("THIRD")));
  linked.peer.send("+1\r\n+2\r\n+3\r\n");
  EXPECT_EQ(waiter.outcome(), Waited::done);
  EXPECT_EQ(shown(third.reply()), "+3");
}

// Nobody has to read for that, and nobody who reads already has to be told.
TEST(LinkWait, TheRestGoesOutWhateverTheReaderDoes) {
  for (const bool reads : {false, true}) {
    Linked linked;
    Request asked;
    std::optional<Waiter> reader;
    if (reads) {
      send(linked.link, asked, "READER");
      reader.emplace([&] { return linked.link.wait(asked, far(), {}); });
      reader->until_asleep();
      EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("READER")));
    }
    const std::array<std::string_view, 1> command{long_argument};
    linked.link.send({{nullptr, command}});
    EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre(long_argument)));
    linked.peer.send("+1\r\n+2\r\n");
    if (reader) {
      EXPECT_EQ(reader->outcome(), Waited::done);
    }
  }
}

// ---- stop tokens ----

// A token that has fired already ends the wait at once, and the reply is dropped.
TEST(LinkWait, AFiredTokenEndsItAtOnce) {
  Linked linked;
  std::stop_source source;
  source.request_stop();
  Request call;
  Caller event;
  send(linked.link, call, "PING");
  EXPECT_EQ(linked.link.wait(call, far(), source.get_token()), Waited::stopped);
  EXPECT_EQ(linked.link.wait(event, far(), source.get_token()), Waited::stopped);
  EXPECT_FALSE(linked.link.broken());
  Request next;
  send(linked.link, next, "NEXT");
  linked.peer.send("+dropped\r\n+next\r\n");
  ASSERT_EQ(linked.link.wait(next, far(), {}), Waited::done);
  EXPECT_EQ(shown(next.reply()), "+next");
}

// A token that fires ends the wait of a thread that leads, at once.
TEST(LinkWait, AStopEndsALeadersWait) {
  Linked linked;
  std::stop_source source;
  Asker leader{linked, "LEADER", source.get_token()};
  const Stopwatch watch;
  source.request_stop();
  EXPECT_EQ(leader.outcome(), Waited::stopped);
  EXPECT_LT(watch.elapsed(), promptly);
  EXPECT_FALSE(linked.link.broken());
}

// The same for a thread that sleeps while another leads; the leader goes on, and both replies find their way.
TEST(LinkWait, AStopEndsASleepersWait) {
  Linked linked;
  std::stop_source source;
  Asker leader{linked, "LEADER"};
  Asker sleeper{linked, "SLEEPER", source.get_token()};
  Asker third{linked, "THIRD"};
  const Stopwatch watch;
  source.request_stop();
  EXPECT_EQ(sleeper.outcome(), Waited::stopped);
  EXPECT_LT(watch.elapsed(), promptly);
  linked.peer.send("+leader\r\n+sleeper\r\n+third\r\n");
  EXPECT_EQ(leader.reply(), "+leader");
  EXPECT_EQ(third.reply(), "+third");
}

// A leader that is stopped hands the reading to the next.
TEST(LinkWait, AStoppedLeaderHandsTheReadingOver) {
  Linked linked;
  std::stop_source source;
  Asker leader{linked, "LEADER", source.get_token()};
  Asker sleeper{linked, "SLEEPER"};
  source.request_stop();
  EXPECT_EQ(leader.outcome(), Waited::stopped);
  linked.peer.send("+leader\r\n+sleeper\r\n");
  EXPECT_EQ(sleeper.reply(), "+sleeper");
}

// ---- failing on purpose ----

// fail() from another thread wakes the leader, asleep in recv() or in poll(), and every sleeper, call or event.
TEST(LinkWait, FailWakesLeaderAndSleepers) {
  for (const bool leader_polls : {false, true}) {
    Linked linked;
    std::stop_source never;
    Caller event;
    Asker leader{linked, "LEADER", leader_polls ? never.get_token() : std::stop_token{}};
    Asker first{linked, "FIRST"};
    Asker second{linked, "SECOND", never.get_token()};
    Waiter third{[&] { return linked.link.wait(event, far(), {}); }};
    third.until_asleep();
    const Stopwatch watch;
    linked.link.fail({Failure::Kind::unusable, "on purpose"});
    EXPECT_EQ(leader.outcome(), Waited::broken);
    EXPECT_EQ(first.outcome(), Waited::broken);
    EXPECT_EQ(second.outcome(), Waited::broken);
    EXPECT_EQ(third.outcome(), Waited::broken);
    EXPECT_LT(watch.elapsed(), promptly);
    EXPECT_EQ(linked.link.failure().text, "on purpose");
  }
}

// retire() lets what is in flight be answered, and then wakes whoever waits for a push. Nothing more is sent.
TEST(LinkWait, ARetiredLinkBreaksWhenAllIsAnswered) {
  Linked linked;
  Caller event;
  Asker first{linked, "FIRST"};
  Asker second{linked, "SECOND"};
  Waiter third{[&] { return linked.link.wait(event, far(), {}); }};
  third.until_asleep();
  linked.link.retire({Failure::Kind::unreachable, "left"});
  linked.peer.send("+OK\r\n");
  EXPECT_EQ(first.outcome(), Waited::done);
  EXPECT_FALSE(linked.link.broken());
  linked.link.retire({Failure::Kind::unreachable, "left again"});
  Request late;
  send(linked.link, late, "LATE");
  EXPECT_EQ(linked.link.wait(late, far(), {}), Waited::broken);
  EXPECT_EQ(linked.link.failure().text, "left");
  linked.peer.send("+OK\r\n");
  EXPECT_EQ(second.outcome(), Waited::done);
  EXPECT_EQ(third.outcome(), Waited::broken);
  EXPECT_EQ(linked.link.failure().text, "left");
  EXPECT_EQ(linked.peer.receive(), std::nullopt);
}

TEST(LinkWait, ARetiredLinkBreaksAtOnceIfNothingIsInFlight) {
  Linked linked;
  Caller event;
  Waiter waiter{[&] { return linked.link.wait(event, far(), {}); }};
  waiter.until_asleep();
  linked.link.retire({Failure::Kind::unreachable, "left"});
  EXPECT_EQ(waiter.outcome(), Waited::broken);
  EXPECT_EQ(linked.link.failure().text, "left");
}

// A push handler may fail the link. An answer that came with the push was there before.
TEST(LinkWait, APushHandlerMayFailTheLink) {
  Link* link = nullptr;
  Linked linked{{.on_push = [&](ReplyView) { link->fail({Failure::Kind::unusable, "on purpose"}); }}};
  link = &linked.link;
  Request call;
  send(linked.link, call, "PING");
  linked.peer.send(">1\r\n+hello\r\n+OK\r\n");
  EXPECT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  EXPECT_EQ(linked.link.failure().text, "on purpose");
  Request next;
  send(linked.link, next, "NEXT");
  EXPECT_EQ(linked.link.wait(next, far(), {}), Waited::broken);
}

// One that throws fails it, too; the reading is handed over as always.
TEST(LinkWait, APushHandlerMayThrow) {
  Linked linked{{.on_push = [](ReplyView) { throw std::runtime_error{"thrown"}; }}};
  Asker leader{linked, "LEADER"};
  Asker sleeper{linked, "SLEEPER"};
  linked.peer.send(">1\r\n+hello\r\n+OK\r\n");
  EXPECT_EQ(leader.outcome(), Waited::done);
  EXPECT_EQ(sleeper.outcome(), Waited::broken);
  EXPECT_EQ(linked.link.failure().text, "thrown");
}

// ---- events ----

// An event that was set before the wait ends it without any reading.
TEST(LinkWait, AnEventSetBeforehandEndsTheWait) {
  Linked linked;
  Caller event;
  linked.link.set(event);
  EXPECT_EQ(linked.link.wait(event, steady_clock::now() - 1s, {}), Waited::done);
}

// An event's deadline ends the wait, and not before it.
TEST(LinkWait, AnEventsDeadlineEndsTheWait) {
  Linked linked;
  Caller event;
  const Stopwatch watch;
  EXPECT_EQ(linked.link.wait(event, steady_clock::now() + 5ms, {}), Waited::timed_out);
  EXPECT_GE(watch.elapsed(), 5ms);
  EXPECT_LT(watch.elapsed(), promptly);
}

// A push handler that sets an event ends its wait: when the waiting thread itself reads the push.
TEST(LinkWait, APushEndsTheWaitOfItsReader) {
  Caller event;
  Link* link = nullptr;
  Linked linked{{.on_push = [&](ReplyView) { link->set(event); }}};
  link = &linked.link;
  linked.peer.send(push);
  EXPECT_EQ(linked.link.wait(event, far(), {}), Waited::done);
}

// The same when another thread reads it: the waiter sleeps, is woken, and the reader reads on for itself.
TEST(LinkWait, APushEndsTheWaitOfASleeper) {
  Caller event;
  Link* link = nullptr;
  Linked linked{{.on_push = [&](ReplyView) { link->set(event); }}};
  link = &linked.link;
  Asker leader{linked, "LEADER"};
  Waiter sleeper{[&] { return linked.link.wait(event, far(), {}); }};
  sleeper.until_asleep();
  linked.peer.send(push);
  EXPECT_EQ(sleeper.outcome(), Waited::done);
  linked.peer.send("+leader\r\n");
  EXPECT_EQ(leader.reply(), "+leader");
}

// Any thread may set an event: its waiter leads and polls.
TEST(LinkWait, SettingAnEventEndsTheWaitOfALeader) {
  Linked linked;
  Caller event;
  Waiter leader{[&] { return linked.link.wait(event, far(), {}); }};
  leader.until_asleep();
  Asker sleeper{linked, "SLEEPER"};
  const Stopwatch watch;
  linked.link.set(event);
  EXPECT_EQ(leader.outcome(), Waited::done);
  EXPECT_LT(watch.elapsed(), promptly);
  linked.peer.send("+sleeper\r\n");
  EXPECT_EQ(sleeper.reply(), "+sleeper");
}

// Any thread may set an event: its waiter sleeps.
TEST(LinkWait, SettingAnEventEndsTheWaitOfASleeper) {
  Linked linked;
  Caller event;
  Asker leader{linked, "LEADER"};
  Waiter sleeper{[&] { return linked.link.wait(event, far(), {}); }};
  sleeper.until_asleep();
  const Stopwatch watch;
  linked.link.set(event);
  EXPECT_EQ(sleeper.outcome(), Waited::done);
  EXPECT_LT(watch.elapsed(), promptly);
  linked.peer.send("+leader\r\n");
  EXPECT_EQ(leader.reply(), "+leader");
}

// An event may go as soon as its wait has returned: nobody touches it any more. Each lives in a place that is wiped
// right after the wait, and must still be clean when the thread that set it is through. (ThreadSanitizer sees more.)
TEST(LinkWait, AnEventMayGoWhenItsWaitReturns) {
  constexpr int rounds = 200;
  Linked linked;
  alignas(Caller) std::array<unsigned char, sizeof(Caller)> place{};
  std::atomic<Caller*> announced{nullptr};
  std::atomic<int> through{0};
  std::jthread setter{[&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (Caller* event = announced.exchange(nullptr)) {
        linked.link.set(*event);
        ++through;
      } else {
        std::this_thread::yield();
      }
    }
  }};
  int dirty = 0;
  for (int round = 1; round <= rounds; ++round) {
    auto* const event = new (place.data()) Caller;
    announced = event;
    if (round % 2 == 0) std::this_thread::yield();  // so that either may come first, the wait or the setting
    EXPECT_EQ(linked.link.wait(*event, far(), {}), Waited::done);
    event->~Caller();
    place.fill(0);
    while (through != round) std::this_thread::yield();
    if (std::any_of(place.begin(), place.end(), [](unsigned char byte) { return byte != 0; })) ++dirty;
  }
  EXPECT_EQ(dirty, 0);
}

// ---- many threads, over unix sockets and TCP, at which callers sleep differently ----

class LinkWaitOver : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Transports, LinkWaitOver, ::testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "Tcp" : "Unix"; });

/// Answers ECHO with its argument, until the link ends.
class EchoServer {
 public:
  explicit EchoServer(Linked& linked, int pushes_every = 0)
      : thread_{[&linked, pushes_every] {
          int count = 0;
          while (const auto words = linked.peer.receive()) {
            const std::string& text = words->at(1);
            if (pushes_every > 0 && ++count % pushes_every == 0) linked.peer.send(push);
            linked.peer.send("$" + std::to_string(text.size()) + "\r\n" + text + "\r\n");
          }
        }},
        linked_{linked} {}
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;
  ~EchoServer() {
    linked_.link.fail({Failure::Kind::unreachable, "the test is over"});
    thread_.join();
  }

 private:
  std::thread thread_;
  Linked& linked_;
};

struct Echo {
  Echo(Caller& caller, std::string text_) : text{std::move(text_)}, call{caller} {}

  void send(Link& link) { link.send({{&call, arguments}}); }
  bool answered_right() const { return shown(call.reply()) == "'" + text + "'"; }

  const std::string text;
  const std::array<std::string_view, 2> arguments{"ECHO", text};
  BlockingCall call;
};

// Of very many threads that wait without calls each is woken alone, though the spots where others sleep are used again and again.
TEST(LinkWait, AThreadThatWaitsApartIsWokenAlone) {
  Linked linked;
  Caller reading{Caller::Apart{}}, long_asleep{Caller::Apart{}}, woken{Caller::Apart{}};
  Waiter reader{[&] { return linked.link.wait(reading, far(), {}); }};
  reader.until_asleep();
  Waiter sleeper{[&] { return linked.link.wait(long_asleep, far(), {}); }};
  sleeper.until_asleep();
  for (ParkingLot::Spot others = 0; others + 1 < ParkingLot::spots; ++others) {
    Caller other;
    EXPECT_EQ(linked.link.wait(other, Deadline{}, {}), Waited::timed_out);
  }
  Waiter neighbour{[&] { return linked.link.wait(woken, far(), {}); }};
  neighbour.until_asleep();
  const long slept = redismutex::testing::voluntary_switches(sleeper.thread_id());
  EXPECT_GT(slept, 0);
  linked.link.set(woken);
  EXPECT_EQ(neighbour.outcome(), Waited::done);
  EXPECT_EQ(redismutex::testing::voluntary_switches(sleeper.thread_id()), slept);

  // Nor does the next reader depend on the lot, nor the end of the link.
  linked.link.set(reading);
  EXPECT_EQ(reader.outcome(), Waited::done);
  linked.link.fail({Failure::Kind::unreachable, "the test is over"});
  EXPECT_EQ(sleeper.outcome(), Waited::broken);
}

/// Runs `body` in so many threads, each with its number, and returns the sum of what they return.
int total(int threads, const std::function<int(int)>& body) {
  std::atomic<int> sum{0};
  std::vector<std::thread> running;
  for (int number = 0; number < threads; ++number) {
    running.emplace_back([&, number] { sum += body(number); });
  }
  for (auto& thread : running) thread.join();
  return sum;
}

// Each of many threads gets its own replies over one link, with the reading handed from one to the other all the time.
TEST_P(LinkWaitOver, ManyThreadsShareOneLink) {
  constexpr int threads = 8, calls = 2000;
  Linked linked{{.tcp = GetParam()}};
  const EchoServer server{linked};
  const int right = total(threads, [&](int thread) {
    int count = 0;
    for (int i = 0; i < calls; ++i) {
      Caller caller;
      Echo echo{caller, std::to_string(thread) + ":" + std::to_string(i)};
      echo.send(linked.link);
      if (linked.link.wait(echo.call, far(), {}) == Waited::done && echo.answered_right()) ++count;
    }
    return count;
  });
  EXPECT_EQ(right, threads * calls);
}

// The same when waits end at any moment: short deadlines, stops from another thread, several calls a thread, pushes in
// between and events that they set. No wait ends without a reason, and no reply goes astray.
TEST_P(LinkWaitOver, WaitsThatEndAtAnyMomentDoNotDisturbOthers) {
  constexpr int threads = 4, calls = 500;
  std::atomic<int> pushes{0};
  Linked linked{{.tcp = GetParam(), .on_push = [&](ReplyView) { ++pushes; }}};
  std::atomic<int> wrong{0};
  {
    const EchoServer server{linked, 7};
    const int done = total(threads, [&](int thread) {
      std::minstd_rand random{static_cast<unsigned>(thread) + 1};
      int count = 0;
      for (int i = 0; i < calls; ++i) {
        Caller caller;
        Echo first{caller, std::to_string(thread) + ":" + std::to_string(i)};
        Echo second{caller, first.text + ":second"};
        first.send(linked.link);
        second.send(linked.link);
        std::stop_source stop;
        const auto choice = random() % 4;
        const auto moment = std::chrono::microseconds{random() % 100};
        std::jthread stopper;
        if (choice == 0) stopper = std::jthread{[&stop] { stop.request_stop(); }};
        const Waited waited = linked.link.wait(first.call, choice == 1 ? steady_clock::now() + moment : far(),
                                               choice == 2 ? std::stop_token{} : stop.get_token());
        if (waited == Waited::done) {
          if (!first.answered_right()) ++wrong;
        } else if (waited != (choice == 0 ? Waited::stopped : Waited::timed_out) || choice > 1) {
          ++wrong;
        }
        // Given up with the first one, as a rule; that one's answer may have come in this moment.
        const Waited given_up = choice == 0 ? Waited::stopped : Waited::timed_out;
        const Waited second_waited = linked.link.wait(second.call, far(), {});
        if (second_waited == Waited::done ? second.answered_right() : second_waited == given_up && choice < 2) ++count;
      }
      return count;
    });
    EXPECT_EQ(done, threads * calls);
    EXPECT_EQ(wrong, 0);
    EXPECT_FALSE(linked.link.broken());
  }
  EXPECT_GT(pushes, 0);
}

// A link that fails amid many callers ends every call: none is left waiting, and each has its own answer or none.
TEST_P(LinkWaitOver, AFailureAmidManyCallersReachesAll) {
  constexpr int threads = 8;
  for (int round = 0; round < 5; ++round) {
    Linked linked{{.tcp = GetParam()}};
    const EchoServer server{linked};
    std::atomic<int> answered{0};
    std::thread breaker{[&] {
      while (answered < 50 * threads) std::this_thread::yield();
      linked.link.fail({Failure::Kind::unreachable, "on purpose"});
    }};
    const int wrong = total(threads, [&](int thread) {
      for (int i = 0;; ++i) {
        Caller caller;
        Echo echo{caller, std::to_string(thread) + ":" + std::to_string(i)};
        echo.send(linked.link);
        const Waited waited = linked.link.wait(echo.call, far(), {});
        if (waited != Waited::done) return waited == Waited::broken ? 0 : 1;
        if (!echo.answered_right()) return 1;
        ++answered;
      }
    });
    breaker.join();
    EXPECT_EQ(wrong, 0);
  }
}

}  // namespace
}  // namespace redismutex::net
