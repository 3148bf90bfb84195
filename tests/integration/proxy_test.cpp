// The faulty network of the other tests is faulty in exactly the way it is told.

#include "support/proxy.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/descriptors.hpp"
#include "support/eventually.hpp"
#include "support/limits.hpp"
#include "support/process.hpp"
#include "support/server.hpp"
#include "support/tcp_client.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class ProxyTest : public ::testing::Test {
 protected:
  static constexpr std::size_t ping_size = 6, pong_size = 7;

  static void expect_answer(const TcpClient& client) {
    client.send("PING\r\n");
    EXPECT_EQ(client.receive(limit), "+PONG\r\n");
  }

  Server server_;
  Proxy proxy_{server_};
};

TEST_F(ProxyTest, PassesAndCounts) {
  const TcpClient client(proxy_.port());
  expect_answer(client);
  expect_answer(TcpClient(proxy_.port()));
  EXPECT_EQ(proxy_.connections(), 2);
  EXPECT_EQ(proxy_.bytes(Direction::requests), 2 * ping_size);
  EXPECT_EQ(proxy_.bytes(Direction::replies), 2 * pong_size);
  EXPECT_TRUE(eventually(limit, [&] { return server_.connected_clients() == 1; }));  // the second has gone
  server_.stop();
  EXPECT_EQ(client.receive(limit), "FIN");
  EXPECT_EQ(TcpClient(proxy_.port()).receive(limit), "RST");
}

TEST_F(ProxyTest, StandsBeforeATcpPortToo) {
  const Server server({.tcp = true});
  const Proxy proxy(server.port());
  expect_answer(TcpClient(proxy.port()));
}

// More than any buffer holds, read late by a client that sends first.
TEST_F(ProxyTest, PassesMuchToASlowReader) {
  constexpr std::size_t size = 20'000'000;
  server_.command({"SET", "key", std::string(size, 'x')});
  const TcpClient client(proxy_.port());
  client.send("GET key\r\n");
  EXPECT_TRUE(eventually(limit, [&] { return proxy_.bytes(Direction::replies) > 0; }));
  std::size_t received = 0;
  const std::string header = "$20000000\r\n", trailer = "\r\n";
  while (received < header.size() + size + trailer.size()) {
    const auto text = client.receive(limit);
    ASSERT_GT(text.size(), 3u) << text;
    received += text.size();
  }
  expect_answer(client);
}

TEST_F(ProxyTest, DelaysOneDirection) {
  const TcpClient client(proxy_.port());
  for (const auto direction : {Direction::requests, Direction::replies}) {
    proxy_.delay(direction, quiet_time);
    const auto begin = Clock::now();
    expect_answer(client);
    EXPECT_GE(Clock::now() - begin, quiet_time);
    proxy_.pass();
  }
  expect_answer(client);
}

TEST_F(ProxyTest, SwallowsRepliesWhileTheServerActs) {
  const TcpClient client(proxy_.port());
  proxy_.swallow(Direction::replies);
  client.send("SET key value\r\n");
  EXPECT_TRUE(eventually(limit, [&] { return server_.exists("key"); }));
  EXPECT_EQ(client.receive(quiet_time), "");
  proxy_.pass();
  expect_answer(client);
}

TEST_F(ProxyTest, CutsAnAnswerInTheMiddleOnce) {
  for (const auto ending : {Ending::fin, Ending::rst}) {
    const TcpClient client(proxy_.port());
    proxy_.cut_after(Direction::replies, 3, ending);
    client.send("PING\r\n");
    EXPECT_EQ(client.receive(limit), "+PO");
    EXPECT_EQ(client.receive(limit), ending == Ending::fin ? "FIN" : "RST");
    expect_answer(TcpClient(proxy_.port()));
  }
}

TEST_F(ProxyTest, CutsBeforeTheAnswerToWhatTheServerDid) {
  const TcpClient client(proxy_.port());
  expect_answer(client);
  proxy_.cut_after(Direction::replies, 0, Ending::rst);
  client.send("SET key value\r\n");
  EXPECT_EQ(client.receive(limit), "RST");
  EXPECT_TRUE(server_.exists("key"));
}

TEST_F(ProxyTest, CutsBeforeTheServerHasTheWholeRequest) {
  const TcpClient client(proxy_.port());
  proxy_.cut_after(Direction::requests, 10, Ending::fin);
  client.send("SET key value\r\n");
  EXPECT_EQ(client.receive(limit), "FIN");
  EXPECT_TRUE(eventually(limit, [&] { return server_.connected_clients() == 0; }));
  EXPECT_FALSE(server_.exists("key"));
}

TEST_F(ProxyTest, FreezesWithAllConnectionsUp) {
  const TcpClient client(proxy_.port());
  expect_answer(client);
  proxy_.freeze();
  const TcpClient newcomer(proxy_.port());
  for (const auto* each : {&client, &newcomer}) {
    each->send("PING\r\n");
    EXPECT_EQ(each->receive(quiet_time), "");
  }
  server_.stop();
  EXPECT_EQ(client.receive(quiet_time), "");
  proxy_.pass();
  EXPECT_EQ(client.receive(limit), "FIN");
}

// Also while a forked child holds copies of all sockets, which would keep them up if they were only closed.
TEST_F(ProxyTest, RefusesAndCutsAlsoWhenForkedChildrenExist) {
  for (const auto ending : {Ending::fin, Ending::rst}) {
    const TcpClient client(proxy_.port());
    expect_answer(client);
    const ChildProcess child([] { return ::pause(); });
    proxy_.refuse();
    EXPECT_EQ(error_of_connecting(proxy_.port()), ECONNREFUSED);
    expect_answer(client);
    proxy_.cut_all(ending);
    EXPECT_EQ(client.receive(limit), ending == Ending::fin ? "FIN" : "RST");
    EXPECT_TRUE(eventually(limit, [&] { return server_.connected_clients() == 0; }));
    proxy_.pass();
    expect_answer(TcpClient(proxy_.port()));
  }
}

TEST_F(ProxyTest, LeavesNothingBehind) {
  const auto descriptors = open_descriptors();
  const auto threads = thread_count();
  {
    const Proxy proxy(server_);
    expect_answer(TcpClient(proxy.port()));
    EXPECT_GT(open_descriptors(), descriptors);
    EXPECT_EQ(thread_count(), threads + 1);
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(thread_count(), threads);
}

}  // namespace
}  // namespace redismutex::testing
