#include "route/callbacks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "net/reactor.hpp"
#include "support/descriptors.hpp"
#include "support/eventually.hpp"
#include "support/limits.hpp"
#include "support/process.hpp"

namespace redismutex::route {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::ChildProcess;
using redismutex::testing::eventually;
using redismutex::testing::exited;
using redismutex::testing::thread_count;
using redismutex::testing::thread_count_at_rest;
using ::testing::ElementsAre;

using testing::limit;

/// A user's log. It may be held up.
class Diary {
 public:
  std::function<void(std::string_view)> log() {
    return [this](std::string_view sentence) {
      std::unique_lock lock{mutex_};
      threads_.push_back(std::this_thread::get_id());
      sentences_.emplace_back(sentence);
      changed_.notify_all();
      changed_.wait(lock, [this] { return !held_up_; });
    };
  }
  void hold_up(bool held_up) {
    const std::lock_guard lock{mutex_};
    held_up_ = held_up;
    changed_.notify_all();
  }
  bool has(std::size_t count) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, limit, [&] { return sentences_.size() >= count; });
  }
  std::vector<std::string> sentences() {
    const std::lock_guard lock{mutex_};
    return sentences_;
  }
  std::vector<std::thread::id> threads() {
    const std::lock_guard lock{mutex_};
    return threads_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> sentences_;
  std::vector<std::thread::id> threads_;
  bool held_up_ = false;
};

class Runs final : public net::Job {
 public:
  explicit Runs(std::function<void()> what) : what_{std::move(what)} {}
  void run() noexcept override { what_(); }

 private:
  std::function<void()> what_;
};

struct CallbacksTest : ::testing::Test {
  ~CallbacksTest() override { let_end(); }

  /// The last job may just be going, and uses what is the test's. To be called when all Callbacks have been let go.
  void let_end() {
    EXPECT_TRUE(eventually(limit, [&] { return reactor.use_count() <= 1; }));
    reactor.reset();  // and all threads are joined
    EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads; }));
  }

  std::shared_ptr<Callbacks> make() { return std::make_shared<Callbacks>(diary.log(), nullptr); }

  Diary diary;
  const long threads = thread_count_at_rest();
  std::shared_ptr<net::Reactor> reactor = net::Reactor::shared();
};

// Nothing is started for those who have nothing to tell.
TEST_F(CallbacksTest, NothingToTell) {
  const auto callbacks = std::make_shared<Callbacks>(nullptr, nullptr);
  EXPECT_FALSE(callbacks->has_log());
  EXPECT_EQ(callbacks->observer(), nullptr);
  callbacks->log("sentence");
  callbacks->log_here("sentence");
  EXPECT_EQ(thread_count(), threads + 1) << "the reactor's";
}

TEST_F(CallbacksTest, TheObserverIsKept) {
  const auto observer = std::make_shared<Observer>();
  const auto callbacks = std::make_shared<Callbacks>(nullptr, observer);
  EXPECT_EQ(callbacks->observer(), observer.get());
  EXPECT_EQ(observer.use_count(), 2);
}

// Sentences keep their order, whatever threads tell them.
TEST_F(CallbacksTest, TheLogIsToldInOrder) {
  const auto callbacks = make();
  EXPECT_TRUE(callbacks->has_log());
  std::vector<std::string> expected;
  for (int i = 0; i < 500; ++i) callbacks->log(expected.emplace_back("sentence " + std::to_string(i)));
  ASSERT_TRUE(diary.has(500));
  EXPECT_EQ(diary.sentences(), expected);
  EXPECT_THAT(diary.threads(), ::testing::Not(::testing::Contains(std::this_thread::get_id())));
}

TEST_F(CallbacksTest, TheLogIsToldHere) {
  const auto callbacks = make();
  callbacks->log_here("one\nline");
  EXPECT_THAT(diary.sentences(), ElementsAre("one\\nline"));
  EXPECT_THAT(diary.threads(), ElementsAre(std::this_thread::get_id()));
  EXPECT_EQ(thread_count(), threads + 1) << "the reactor's";
}

TEST_F(CallbacksTest, WhatTheLogThrowsIsIgnored) {
  std::promise<void> told;
  auto callbacks = std::make_shared<Callbacks>(
      [&](std::string_view sentence) {
        if (sentence == "the last") told.set_value();
        throw std::runtime_error{"no log"};
      },
      nullptr);
  callbacks->log_here("here");
  callbacks->log("there");
  callbacks->log("the last");
  EXPECT_EQ(told.get_future().wait_for(limit), std::future_status::ready);
  callbacks.reset();
  let_end();
}

// A log that is stuck keeps a limited number of sentences. The last of them says so, and it goes on when the log does.
TEST_F(CallbacksTest, ALogThatIsStuck) {
  const auto callbacks = make();
  diary.hold_up(true);
  callbacks->log("sentence");
  ASSERT_TRUE(diary.has(1));
  for (std::size_t i = 0; i < 2 * Callbacks::most_sentences; ++i) callbacks->log("sentence");
  diary.hold_up(false);
  ASSERT_TRUE(diary.has(1 + Callbacks::most_sentences));
  EXPECT_THAT(diary.sentences().back(), ::testing::HasSubstr("left out"));
  callbacks->log("next");
  ASSERT_TRUE(diary.has(2 + Callbacks::most_sentences));
  EXPECT_EQ(diary.sentences().back(), "next");
}

// Users' code that is stuck delays nobody else's: neither another Connection's log, nor any job.
TEST_F(CallbacksTest, OneThatIsStuckDelaysNoOther) {
  Diary other_diary;
  auto callbacks = make();
  auto other = std::make_shared<Callbacks>(other_diary.log(), nullptr);
  callbacks->get_ready();
  other->get_ready();
  diary.hold_up(true);
  callbacks->log("stuck");
  ASSERT_TRUE(diary.has(1));
  std::promise<void> open;
  const std::shared_future<void> opened = open.get_future();
  std::promise<void> stuck, run;
  callbacks->run(std::make_unique<Runs>([&] {
    stuck.set_value();
    opened.wait();
  }));
  ASSERT_EQ(stuck.get_future().wait_for(limit), std::future_status::ready);
  other->log("not stuck");
  EXPECT_TRUE(other_diary.has(1));
  callbacks->run(std::make_unique<Runs>([&] { run.set_value(); }));
  EXPECT_EQ(run.get_future().wait_for(limit), std::future_status::ready);
  open.set_value();
  diary.hold_up(false);
  callbacks.reset();
  other.reset();
  let_end();
}

// Nobody waits for users' code: the Callbacks live until they have told all.
TEST_F(CallbacksTest, TheOwnerGoesWhileSomethingIsToTell) {
  auto callbacks = make();
  diary.hold_up(true);
  for (const std::string sentence : {"one", "two", "three"}) callbacks->log(sentence);
  ASSERT_TRUE(diary.has(1));
  callbacks.reset();
  EXPECT_THAT(diary.sentences(), ElementsAre("one"));
  diary.hold_up(false);
  ASSERT_TRUE(diary.has(3));
  EXPECT_THAT(diary.sentences(), ElementsAre("one", "two", "three"));
}

// The last owner of the Callbacks, and of the reactor, may go in a job or in the log.
TEST_F(CallbacksTest, TheLastOwnerGoesInAJobOrInTheLog) {
  reactor.reset();
  std::promise<void> open;
  const std::shared_future<void> opened = open.get_future();
  auto last = std::make_shared<std::shared_ptr<Callbacks>>();
  *last = std::make_shared<Callbacks>(
      [last, opened](std::string_view) {
        opened.wait();
        last->reset();
      },
      nullptr);
  (*last)->log("let go");
  last.reset();

  auto callbacks = make();
  callbacks->get_ready();
  callbacks->run(std::make_unique<Runs>([own = callbacks, opened]() mutable {
    opened.wait();
    own.reset();
  }));
  callbacks.reset();
  open.set_value();
}

// A child of fork() has none of the threads, and does not wait for locks that they hold: here fork() comes from within
// the log.
TEST_F(CallbacksTest, InAChildOfFork) {
  std::promise<int> result;
  std::shared_ptr<Callbacks> callbacks = std::make_shared<Callbacks>(
      [&](std::string_view sentence) {
        if (sentence != "fork") return;
        const ChildProcess child{[&] {
          callbacks->log("not told");
          callbacks->run(std::make_unique<Runs>([] { std::abort(); }));
          callbacks.reset();
          return 0;
        }};
        result.set_value(child.wait(limit) == exited(0) ? 0 : 1);
      },
      nullptr);
  callbacks->log("fork");
  auto ended = result.get_future();
  ASSERT_EQ(ended.wait_for(2 * limit), std::future_status::ready);
  EXPECT_EQ(ended.get(), 0);
  callbacks.reset();
  let_end();
}

}  // namespace
}  // namespace redismutex::route
