// What the public interface does before it needs a server: it is given one that hears when somebody calls.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <stop_token>
#include <string>

#include "support/posix.hpp"
#include "support/temp_dir.hpp"

namespace redismutex {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Throws;
using ::testing::ThrowsMessage;

/// A socket that somebody may call.
class Listener {
 public:
  Listener() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket_.get(), 8) != 0) {
      throw std::runtime_error{"cannot listen"};
    }
  }

  std::string url() const { return "unix://" + path_; }

  bool was_called() const {
    pollfd polled{socket_.get(), POLLIN, 0};
    return ::poll(&polled, 1, 0) != 0;
  }

 private:
  testing::TempDir directory_;
  std::string path_ = directory_.file("s");
  testing::Descriptor socket_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

class NoServer : public ::testing::Test {
 protected:
  ~NoServer() override { EXPECT_FALSE(server_.was_called()); }

  Listener server_;
  Connection connection_{server_.url()};
  RedisMutex mutex_{connection_, {.block_time = 100ms, .delay = 10ms}};
};

// Whatever is made, nothing is sent: connections, mutexes, wrapped functions, and copies of them.
TEST_F(NoServer, MakingThingsSendsNothing) {
  const Connection copy = connection_;
  const RedisMutex mutex{copy};
  const RedisMutex same = mutex;
  const Mutex standard{copy, "key"};
  const auto wrapped = with_redismutex(copy, "key", [] {});
  EXPECT_EQ(same.options().block_time, 5000ms);
}

// The options that a mutex was given are those that it shows, and what was left out as it was fitted to them.
TEST_F(NoServer, AMutexShowsItsOptions) {
  const RedisMutex mutex{connection_, {.blocking = false, .block_time = 1ms, .delay = 2ms, .expiry = 4ms}};
  EXPECT_FALSE(mutex.options().blocking);
  EXPECT_EQ(mutex.options().block_time, 1ms);
  EXPECT_EQ(mutex.options().delay, 2ms);
  EXPECT_EQ(mutex.options().expiry, 4ms);

  const Options fitted = RedisMutex{connection_, {.block_time = 10s}}.options();
  EXPECT_EQ(fitted.block_time, 10s);
  EXPECT_EQ(fitted.delay, 500ms);
  EXPECT_EQ(fitted.expiry, 14s);
  const Options again = RedisMutex{connection_, fitted}.options();
  EXPECT_EQ(again.expiry, 14s);
}

// A key that is empty or too long is refused by every function that takes one, before anything is sent.
TEST_F(NoServer, BadKeysAreRefused) {
  for (const auto& [key, word] :
       {std::pair{std::string{}, "empty"}, std::pair{std::string(RedisMutex::max_key_size + 1, 'k'), "4097"}}) {
    const auto refused = ThrowsMessage<std::invalid_argument>(HasSubstr(word));
    const std::string& text = key;
    EXPECT_THAT([&] { (void)mutex_.acquire_lock(text); }, refused);
    EXPECT_THAT([&] { (void)mutex_.try_acquire_lock(text); }, refused);
    EXPECT_THAT([&] { (void)mutex_.try_acquire_lock_for(text, 1s); }, refused);
    EXPECT_THAT([&] { Mutex(connection_, text); }, refused);
    EXPECT_THAT([&] { with_redismutex(connection_, text, [] {})(); }, refused);
    EXPECT_THAT(
        [&] {
          with_redismutex(
              connection_, [&] { return text; }, [] {})();
        },
        refused);
  }
}

// A limit that is not positive, or absurdly long, is refused.
TEST_F(NoServer, BadLimitsAreRefused) {
  for (const auto limit : {0ms, -1ms, std::chrono::milliseconds::min(), std::chrono::milliseconds::max()}) {
    EXPECT_THAT(
        [&] { (void)mutex_.try_acquire_lock_for("key", limit); },
        ThrowsMessage<std::invalid_argument>(AllOf(HasSubstr("limit"), HasSubstr(std::to_string(limit.count())))));
  }
}

// Bad options are refused wherever options are taken.
TEST_F(NoServer, BadOptionsAreRefused) {
  const Options bad{.block_time = 5s, .delay = 6s};
  const auto refused = ThrowsMessage<std::invalid_argument>(HasSubstr("delay is 6000 ms"));
  EXPECT_THAT([&] { RedisMutex(connection_, bad); }, refused);
  EXPECT_THAT([&] { Mutex(connection_, "key", bad); }, refused);
  EXPECT_THAT([&] { WithRedisMutex(connection_, "key", bad); }, refused);
  EXPECT_THAT(
      [&] {
        with_redismutex(
            connection_, "key", [] {}, bad);
      },
      refused);
}

// What a key generator throws comes through, and the function is not called.
TEST_F(NoServer, WhatAKeyGeneratorThrowsComesThrough) {
  bool called = false;
  auto wrapped = with_redismutex(
      connection_, [](int) -> std::string { throw std::out_of_range{"no such order"}; }, [&](int) { called = true; });
  EXPECT_THAT([&] { wrapped(1); }, ThrowsMessage<std::out_of_range>("no such order"));
  EXPECT_FALSE(called);
}

// A wait that was cancelled before it began sends nothing.
TEST_F(NoServer, ACancelledWaitSendsNothing) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT([&] { (void)mutex_.acquire_lock("key", stop.get_token()); },
              ThrowsMessage<LockCancelled>(HasSubstr("'key'")));
}

// A malformed URL or unusable options are refused at once, and the message does not show the password.
TEST(NoServerAtAll, BadConnectionsAreRefused) {
  EXPECT_THAT([] { Connection("redis://:hunter2@host:0"); },
              ThrowsMessage<std::invalid_argument>(AllOf(HasSubstr("port"), Not(HasSubstr("hunter2")))));
  EXPECT_THAT([] { Connection(ConnectionOptions{.port = 0, .password = "hunter2"}); },
              ThrowsMessage<std::invalid_argument>(AllOf(HasSubstr("port"), Not(HasSubstr("hunter2")))));
}

// Without a URL $REDISMUTEX_URL counts, malformed or not, then $REDIS_URL; where neither is set, or both are empty, localhost.
TEST(NoServerAtAll, TheEnvironmentNamesTheDefaultServer) {
  ASSERT_EQ(::setenv("REDIS_URL", "redis://host:no", 1), 0);
  EXPECT_THAT([] { Connection(); }, ThrowsMessage<std::invalid_argument>(HasSubstr("port")));
  EXPECT_THAT([] { Connection(""); }, ThrowsMessage<std::invalid_argument>(HasSubstr("port")));
  EXPECT_NO_THROW(Connection("redis://other"));
  ASSERT_EQ(::setenv("REDISMUTEX_URL", "redis://other", 1), 0);
  EXPECT_NO_THROW(Connection());
  ASSERT_EQ(::setenv("REDISMUTEX_URL", "redis://:no", 1), 0);
  ASSERT_EQ(::setenv("REDIS_URL", "redis://other", 1), 0);
  EXPECT_THAT([] { Connection(); }, Throws<std::invalid_argument>());
  ASSERT_EQ(::setenv("REDISMUTEX_URL", "", 1), 0);
  EXPECT_NO_THROW(Connection());
  ASSERT_EQ(::unsetenv("REDISMUTEX_URL"), 0);
  ASSERT_EQ(::setenv("REDIS_URL", "", 1), 0);
  EXPECT_NO_THROW(Connection());
  ASSERT_EQ(::unsetenv("REDIS_URL"), 0);
  EXPECT_NO_THROW(Connection());
}

// A server that is not there is reported at once, by its name and without credentials.
TEST(NoServerAtAll, AnAbsentServerIsNamed) {
  const testing::TempDir directory;
  const std::string path = directory.file("nobody");
  const RedisMutex mutex{Connection{"unix://:hunter2@" + path}, {.blocking = false}};
  const auto named =
      ThrowsMessage<ConnectionError>(AllOf(HasSubstr(path), HasSubstr("'key'"), Not(HasSubstr("hunter2"))));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT([&] { (void)mutex.acquire_lock("key"); }, named);
  EXPECT_THAT([&] { (void)mutex.try_acquire_lock("key"); }, named);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
}

}  // namespace
}  // namespace redismutex
