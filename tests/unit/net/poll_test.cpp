#include "net/poll.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>

#include "support/posix.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::Descriptor;
using std::chrono::steady_clock;

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error{"pipe2"};
    out = Descriptor{ends[0]};
    in = Descriptor{ends[1]};
  }
  void fill() const { EXPECT_EQ(::write(in.get(), "x", 1), 1); }

  Descriptor out, in;
};

Deadline far() { return steady_clock::now() + 100s; }

// A descriptor is closed once: by its owner's end, by assignment, and not by a moved-from object.
TEST(Descriptor, ClosesOnce) {
  Pipe pipe;
  const int out = pipe.out.get(), in = pipe.in.get();
  {
    const Descriptor owner{std::move(pipe.out)};
    EXPECT_EQ(owner.get(), out);
    EXPECT_TRUE(is_open(out));
  }
  EXPECT_FALSE(is_open(out));
  Descriptor& same = pipe.in;
  pipe.in = std::move(same);
  EXPECT_TRUE(is_open(in));
  pipe.in = Descriptor{};
  EXPECT_FALSE(is_open(in));
  EXPECT_FALSE(pipe.in.valid());
}

// A descriptor that is ready ends the wait; so does one whose other end has gone.
TEST(Poll, ReportsWhatIsReady) {
  const Kick kick;
  Pipe pipe;
  EXPECT_EQ(poll_until({pipe.in.get(), POLLOUT, far()}, &kick), Polled::ready);
  pipe.fill();
  EXPECT_EQ(poll_until({pipe.out.get(), POLLIN, far()}, &kick), Polled::ready);
  Pipe closed;
  closed.in = Descriptor{};
  EXPECT_EQ(poll_until({closed.out.get(), POLLIN, far()}, &kick), Polled::ready);
}

// A kick ends the wait, before and during it, even beside a ready descriptor; until it is cleared, and once.
TEST(Poll, IsEndedByAKick) {
  const Kick kick;
  const Pipe pipe;
  kick.kick();
  kick.kick();
  EXPECT_EQ(poll_until({pipe.out.get(), POLLIN, far()}, &kick), Polled::kicked);
  EXPECT_EQ(poll_until({pipe.out.get(), POLLIN, far()}, &kick), Polled::kicked);
  EXPECT_EQ(poll_until({pipe.in.get(), POLLOUT, far()}, &kick), Polled::kicked);
  kick.clear();
  kick.clear();  // harmless without a kick
  EXPECT_EQ(poll_until({pipe.out.get(), POLLIN, steady_clock::now() + 1ms}, &kick), Polled::timed_out);
  std::thread kicker{[&] { kick.kick(); }};
  EXPECT_EQ(poll_until({pipe.out.get(), POLLIN, far()}, &kick), Polled::kicked);
  kicker.join();
}

// The deadline ends the wait, to less than a millisecond after it and not before; one that has passed, at once.
TEST(Poll, IsEndedByTheDeadline) {
  const Kick kick;
  const Pipe pipe;
  const auto deadline = steady_clock::now() + 3500us;
  EXPECT_EQ(poll_until({pipe.out.get(), POLLIN, deadline}, &kick), Polled::timed_out);
  EXPECT_GE(steady_clock::now(), deadline);
  EXPECT_EQ(poll_until({pipe.out.get(), POLLIN, steady_clock::now() - 1s}, &kick), Polled::timed_out);
  EXPECT_EQ(poll_until({pipe.out.get(), POLLIN, Deadline{}}, &kick), Polled::timed_out);
}

// A deadline at the end of time overflows nothing.
TEST(Poll, MayWaitForEver) {
  const Kick kick;
  const Pipe pipe;
  pipe.fill();
  EXPECT_EQ(poll_until({pipe.out.get(), POLLIN, Deadline::max()}, &kick), Polled::ready);
}

// A signal that the program handles does not end the wait: it rains signals until the deadline ends it.
TEST(Poll, IsNotEndedBySignals) {
  struct sigaction quiet {};
  quiet.sa_handler = [](int) {};
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGUSR1, &quiet, &before), 0);
  const Kick kick;
  const Pipe pipe;
  std::atomic<bool> over{false};
  const auto deadline = steady_clock::now() + 20ms;
  Polled polled{};
  std::thread waiter{[&] {
    polled = poll_until({pipe.out.get(), POLLIN, deadline}, &kick);
    EXPECT_GE(steady_clock::now(), deadline);
    over = true;
  }};
  while (!over) {
    ::pthread_kill(waiter.native_handle(), SIGUSR1);
    std::this_thread::yield();
  }
  waiter.join();
  EXPECT_EQ(polled, Polled::timed_out);
  ::sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace
}  // namespace redismutex::net
