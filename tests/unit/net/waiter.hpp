#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "net/link.hpp"
#include "support/eventually.hpp"
#include "unit/net/peer.hpp"

/// Threads that wait at a link.
namespace redismutex::net {

/// For what must happen at once: an eternity for a machine, a moment beside `limit`.
constexpr std::chrono::milliseconds promptly = std::chrono::seconds{1};

constexpr std::string_view push = ">1\r\n+hello\r\n";

/// A thread that waits at a link, and what came of it.
class Waiter {
 public:
  using Body = std::function<Link::Waited()>;

  explicit Waiter(Body body)
      : thread_{[this, body = std::move(body)] {
          thread_id_ = ::gettid();
          outcome_ = body();
        }} {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() {
    if (thread_.joinable()) thread_.join();
  }

  Link::Waited outcome() {
    thread_.join();
    return outcome_;
  }

  pid_t thread_id() const { return thread_id_; }

  /// Returns when the thread sleeps, in whatever system call, or has ended.
  void until_asleep() const {
    EXPECT_TRUE(redismutex::testing::eventually(limit, [this] {
      if (thread_id_ == 0) return false;
      std::ifstream file{"/proc/self/task/" + std::to_string(thread_id_) + "/stat"};
      std::string line;
      std::getline(file, line);
      const auto name_end = line.rfind(") ");
      return name_end == std::string::npos || line[name_end + 2] == 'S';
    }));
  }

 private:
  std::atomic<pid_t> thread_id_{0};
  Link::Waited outcome_{};
  std::thread thread_;
};

/// A thread that sends one command and waits for the answer.
class Asker {
 public:
  Asker(Linked& linked, std::string word, std::stop_token stop = {}, Deadline deadline = far())
      : word_{std::move(word)}, waiter_{[&linked, stop = std::move(stop), deadline, this] {
          Request call;
          send(linked.link, call, word_);
          const Link::Waited waited = linked.link.wait(call, deadline, stop);
          if (waited == Link::Waited::done) reply_ = shown(call.reply());
          return waited;
        }} {
    // In turn: who comes first leads, and is asleep in the socket when the next one comes.
    EXPECT_THAT(linked.peer.receive(), ::testing::Optional(::testing::ElementsAre(word_)));
    waiter_.until_asleep();
  }

  Link::Waited outcome() { return waiter_.outcome(); }
  std::string reply() { return outcome() == Link::Waited::done ? reply_ : ""; }

 private:
  const std::string word_;
  std::string reply_;
  Waiter waiter_;
};

class Stopwatch {
 public:
  std::chrono::steady_clock::duration elapsed() const { return std::chrono::steady_clock::now() - start_; }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace redismutex::net
