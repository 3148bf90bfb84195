#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <redismutex/operate.hpp>
#include <stdexcept>
#include <stop_token>
#include <string>

#include "integration/thrown.hpp"
#include "support/eventually.hpp"
#include "with_memory_server.hpp"

// What a test does to a MemoryServer, and what its users notice of that.
namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct Trouble : WithMemoryServer {
  std::future<Lock> wait() const {
    return std::async(std::launch::async, [this] { return RedisMutex(another, patient).acquire_lock("key"); });
  }

  bool somebody_waits() const {
    return eventually(limit, [this] { return inspect(connection, "key").waiting == 1; });
  }

  static bool stops(const std::stop_token& token) {
    return eventually(limit, [&] { return token.stop_requested(); });
  }
};

// ---- the end of a lease ---------------------------------------------------------------------------------------------

// The lease itself would last for half a minute.
TEST_F(Trouble, TheEndOfALeaseIsToldToTheHolder) {
  auto lock = mutex.acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  EXPECT_TRUE(server.end_lease("key"));
  EXPECT_TRUE(stops(lost));
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

TEST_F(Trouble, TheEndOfARenewedLeaseIsToldToTheHolder) {
  Options renewed = patient;
  renewed.auto_renew = true;
  const auto lock = RedisMutex(connection, renewed).acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  EXPECT_TRUE(server.end_lease("key"));
  EXPECT_TRUE(stops(lost));
}

TEST_F(Trouble, TheEndOfALeaseLetsTheNextOneIn) {
  const auto lock = mutex.acquire_lock("key");
  auto next = wait();
  ASSERT_TRUE(somebody_waits());
  EXPECT_TRUE(server.end_lease("key"));
  EXPECT_EQ(next.get().key(), "key");
}

TEST_F(Trouble, AFreeLockHasNoLeaseToEnd) {
  EXPECT_FALSE(server.end_lease("key"));
  mutex.acquire_lock("key").release();
  EXPECT_FALSE(server.end_lease("key"));
}

TEST_F(Trouble, ATokenBehindALostLeaseIsHigher) {
  Options fenced = patient;
  fenced.fencing = true;
  const auto first = RedisMutex(connection, fenced).acquire_lock("key");
  server.end_lease("key");
  const auto second = RedisMutex(another, fenced).acquire_lock("key");
  EXPECT_GT(*second.fencing_token(), *first.fencing_token());
}

// ---- refusals -------------------------------------------------------------------------------------------------------

TEST_F(Trouble, ARefusalIsTheCallersError) {
  const std::string full = "OOM command not allowed when used memory > 'maxmemory'.";
  server.refuse_writes(full);
  const auto error = thrown<ServerError>([&] { return mutex.acquire_lock("key"); });
  EXPECT_EQ(error.reason(), ServerError::Reason::out_of_memory);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("'key'"), HasSubstr(full), HasSubstr(server.url())));
  EXPECT_NO_THROW(connection.ping());
  server.accept_writes();
  EXPECT_EQ(mutex.acquire_lock("key").key(), "key");
}

TEST_F(Trouble, WhatIsHeldCanNotBeExtended) {
  auto lock = mutex.acquire_lock("key");
  server.refuse_writes(
      "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.");
  EXPECT_EQ(thrown<ServerError>([&] {
              lock.extend(60s);
              return 0;
            }).reason(),
            ServerError::Reason::not_saving);
  server.accept_writes();
  EXPECT_NO_THROW(lock.extend(60s));
}

TEST_F(Trouble, ARenewedLeaseEndsAmidRefusals) {
  const auto lock =
      RedisMutex(connection, {.blocking = false, .expiry = 300ms, .auto_renew = true}).acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  server.refuse_writes("OOM command not allowed when used memory > 'maxmemory'.");
  EXPECT_TRUE(stops(lost));
  server.accept_writes();
}

// One that says to be no master any more may be one again: those who may wait do.
TEST_F(Trouble, ADemotedServerIsWaitedFor) {
  server.refuse_writes("READONLY You can't write against a read only replica.");
  auto waiting = wait();
  EXPECT_EQ(waiting.wait_for(100ms), std::future_status::timeout);
  server.accept_writes();
  EXPECT_EQ(waiting.get().key(), "key");
}

TEST_F(Trouble, ARefusalHasWordsOfOneLine) {
  EXPECT_THROW(server.refuse_writes(""), std::invalid_argument);
  EXPECT_THROW(server.refuse_writes("OOM\r\n+OK"), std::invalid_argument);
}

// ---- absence --------------------------------------------------------------------------------------------------------

TEST_F(Trouble, AnAbsentServerIsAnErrorForOneWhoDoesNotWait) {
  server.go_away();
  const auto error = thrown<ConnectionError>([&] { return mutex.try_acquire_lock("key"); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr(server.url()), HasSubstr("gone away")));
  server.come_back();
  EXPECT_TRUE(mutex.try_acquire_lock("key"));
}

TEST_F(Trouble, ThoseWhoWaitWaitForTheServerToo) {
  auto lock = mutex.acquire_lock("key");
  auto next = wait();
  ASSERT_TRUE(somebody_waits());
  server.go_away();
  EXPECT_EQ(next.wait_for(100ms), std::future_status::timeout);
  server.come_back();
  EXPECT_TRUE(lock.owns_lock());  // what is stored has stayed
  lock.release();
  EXPECT_EQ(next.get().key(), "key");
}

TEST_F(Trouble, ALeaseEndsWhileTheServerIsAway) {
  const auto lock =
      RedisMutex(connection, {.blocking = false, .expiry = 300ms, .auto_renew = true}).acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  server.go_away();
  EXPECT_TRUE(stops(lost));
  server.come_back();
}

TEST_F(Trouble, ACutConnectionHeals) {
  auto lock = mutex.acquire_lock("key");
  server.cut_connections();
  EXPECT_NO_THROW(connection.ping());
  EXPECT_NO_THROW(lock.release());
}

// ---- silence --------------------------------------------------------------------------------------------------------

TEST_F(Trouble, ASilentServerIsAnErrorAfterTheCommandTimeout) {
  ConnectionOptions hasty = parse_url(server.url());
  hasty.command_timeout = 50ms;
  hasty.connect_timeout = 50ms;
  const Connection impatient{hasty};
  impatient.ping();
  server.pause();
  EXPECT_THROW(impatient.ping(), ConnectionError);
  EXPECT_THROW(impatient.ping(), ConnectionError);  // nor is there an answer to a login
  server.resume();
  EXPECT_TRUE(eventually(limit, [&] {
    try {
      impatient.ping();
      return true;
    } catch (const ConnectionError&) {
      return false;
    }
  }));
}

TEST_F(Trouble, WhatWasSentIntoSilenceIsAnsweredAfterwards) {
  ConnectionOptions calm = parse_url(server.url());
  calm.command_timeout = limit;
  const Connection patiently{calm};
  patiently.ping();
  server.pause();
  auto lock = std::async(std::launch::async, [&] { return RedisMutex(patiently, patient).acquire_lock("key"); });
  EXPECT_EQ(lock.wait_for(100ms), std::future_status::timeout);
  server.resume();
  EXPECT_EQ(lock.get().key(), "key");
}

// ---- loss of data ---------------------------------------------------------------------------------------------------

TEST_F(Trouble, ARestartForgetsLocks) {
  auto lock = mutex.acquire_lock("key");
  server.restart();
  connection.ping();  // else a release would be sent twice, and the first one might have been carried out
  EXPECT_TRUE(RedisMutex(another).try_acquire_lock("key"));
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

}  // namespace
}  // namespace redismutex::testing
