#include "net/reactor.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "net/poll.hpp"
#include "support/descriptors.hpp"
#include "support/eventually.hpp"
#include "support/limits.hpp"
#include "support/posix.hpp"
#include "support/process.hpp"
#include "support/sanitizers.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::ChildProcess;
using redismutex::testing::Descriptor;
using redismutex::testing::eventually;
using redismutex::testing::exited;
using redismutex::testing::open_descriptors;
using redismutex::testing::thread_count;
using redismutex::testing::under_address_sanitizer;
using ::testing::ElementsAre;

using testing::limit;

/// A source that counts, and does what it is told to.
class Probe final : public Reactor::Source {
 public:
  explicit Probe(Reactor& reactor, std::function<void(std::uint32_t)> then = {})
      : Source{reactor}, then_{std::move(then)} {}
  ~Probe() { leave(); }

  using Source::arm;
  using Source::leave;

  int count() const noexcept { return count_; }
  std::uint32_t events() const noexcept { return events_; }
  bool has(int count) const {
    return eventually(limit, [&] { return count_ >= count; });
  }

 private:
  void ready(std::uint32_t events) noexcept override {
    events_ = events;
    ++count_;
    if (then_) then_(events);
  }

  const std::function<void(std::uint32_t)> then_;
  std::atomic<int> count_{0};
  std::atomic<std::uint32_t> events_{0};
};

struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) std::abort();
    ours = Descriptor{ends[0]};
    peers = Descriptor{ends[1]};
  }
  void send() const { EXPECT_EQ(::send(peers.get(), "x", 1, MSG_NOSIGNAL), 1); }
  void hang_up() { peers = Descriptor{}; }

  Descriptor ours, peers;
};

/// What ran, in its order.
class Log {
 public:
  void add(int number) {
    const std::lock_guard lock{mutex_};
    numbers_.push_back(number);
  }
  std::vector<int> numbers() const {
    const std::lock_guard lock{mutex_};
    return numbers_;
  }
  bool has(std::size_t count) const {
    return eventually(limit, [&] { return numbers().size() >= count; });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<int> numbers_;
};

/// Returns when the reactor has been through all that was ready before, twice.
void pass(Reactor& reactor) {
  for (int i = 0; i < 2; ++i) {
    std::promise<void> expired;
    Reactor::Timer timer{reactor, [&] { expired.set_value(); }};
    timer.set(boot_now());
    expired.get_future().wait();
  }
}

/// With the first thread the thread sanitizer starts one of its own.
struct ReactorTest : ::testing::Test {
  ReactorTest() {
    std::thread{[] {}}.join();
  }
};

// ---- its life -------------------------------------------------------------------------------------------------------

// All share one, with one thread; it ends with its last owner and leaves nothing.
TEST_F(ReactorTest, LivesAsLongAsItsOwners) {
  const auto threads = thread_count();
  const auto descriptors = open_descriptors();
  for (int i = 0; i < 20; ++i) {
    auto first = Reactor::shared();
    auto second = Reactor::shared();
    EXPECT_EQ(first, second);
    EXPECT_EQ(thread_count(), threads + 1);
    first.reset();
    Reactor::Timer timer{*second, [] {}};
    timer.set(boot_now() + 1h);
  }
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads; }));  // the kernel may need a moment
  EXPECT_EQ(open_descriptors(), descriptors);
}

// The last owner may go in the reactor's own thread.
TEST_F(ReactorTest, MayLoseItsLastOwnerInItsOwnThread) {
  const auto threads = thread_count();
  const auto descriptors = open_descriptors();
  {
    auto reactor = Reactor::shared();
    std::promise<void> gone;
    std::optional<Reactor::Timer> timer;
    Reactor& there = *reactor;
    timer.emplace(there, [&] {
      EXPECT_TRUE(there.runs_this_thread());
      timer.reset();
      reactor.reset();
      EXPECT_TRUE(there.runs_this_thread());
      gone.set_value();
    });
    EXPECT_FALSE(there.runs_this_thread());
    timer->set(boot_now());
    gone.get_future().wait();
  }
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads && open_descriptors() == descriptors; }));
}

// Without a descriptor, at whichever step, there is an error and nothing is left; and the next time it works.
TEST_F(ReactorTest, SaysThatThereIsNoDescriptor) {
  const ChildProcess child{[] {
    const int lowest_free = ::dup(STDERR_FILENO);
    ::close(lowest_free);
    rlimit present{};
    ::getrlimit(RLIMIT_NOFILE, &present);
    const auto set_limit = [&](rlim_t most) {
      rlimit changed = present;
      changed.rlim_cur = most;
      ::setrlimit(RLIMIT_NOFILE, &changed);
    };
    int refused = 0;
    for (int spare = 0; spare < 5; ++spare) {
      set_limit(static_cast<rlim_t>(lowest_free + spare));
      int told = 0;
      try {
        const auto reactor = Reactor::shared();
        const BorrowedKick kick{*reactor};
      } catch (const std::system_error& error) {
        if (error.code() != std::errc::too_many_files_open) return 1;
        told = 1;
      }
      refused += told;
      set_limit(present.rlim_cur);
      const int now_free = ::dup(STDERR_FILENO);
      ::close(now_free);
      if (now_free != lowest_free) return 2;
    }
    return refused == 4 ? 0 : 3;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
}

// The same for its thread.
TEST_F(ReactorTest, SaysThatThereIsNoThread) {
  const ChildProcess child{[] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) return 1;
    rlimit present{};
    ::getrlimit(RLIMIT_NPROC, &present);
    const rlim_t before = std::exchange(present.rlim_cur, 0);
    ::setrlimit(RLIMIT_NPROC, &present);
    const int lowest_free = ::dup(STDERR_FILENO);
    ::close(lowest_free);
    try {
      Reactor::shared();
      return 2;
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::resource_unavailable_try_again) return 3;
    }
    const int now_free = ::dup(STDERR_FILENO);
    if (now_free != lowest_free) return 4;
    present.rlim_cur = before;
    ::setrlimit(RLIMIT_NPROC, &present);
    return Reactor::shared() ? 0 : 5;
  }};
  EXPECT_EQ(child.wait(limit), exited(0)) << child.stderr_text();
}

// ---- sources --------------------------------------------------------------------------------------------------------

// What is ready is told once for each arm(), in the reactor's thread.
TEST_F(ReactorTest, TellsOnceForEachArming) {
  const auto reactor = Reactor::shared();
  const Pair pair;
  std::atomic<bool> there{false};
  Probe probe{*reactor, [&](std::uint32_t) { there = reactor->runs_this_thread(); }};
  pair.send();
  pass(*reactor);
  EXPECT_EQ(probe.count(), 0) << "it is not armed";
  for (int times = 1; times <= 3; ++times) {
    ASSERT_TRUE(probe.arm(pair.ours.get(), EPOLLIN));
    EXPECT_TRUE(probe.has(times));
    pass(*reactor);
    EXPECT_EQ(probe.count(), times);
  }
  EXPECT_TRUE(there);
  EXPECT_EQ(probe.events(), std::uint32_t{EPOLLIN});
  ASSERT_TRUE(probe.arm(pair.ours.get(), EPOLLOUT));
  EXPECT_TRUE(probe.has(4));
  EXPECT_EQ(probe.events(), std::uint32_t{EPOLLOUT});
}

// A source that is armed waits until something comes; one that is disarmed again does not hear of it.
TEST_F(ReactorTest, WaitsAndForgets) {
  const auto reactor = Reactor::shared();
  const Pair pair;
  Probe probe{*reactor};
  ASSERT_TRUE(probe.arm(pair.ours.get(), EPOLLIN));
  pass(*reactor);
  EXPECT_EQ(probe.count(), 0);
  ASSERT_TRUE(probe.arm(pair.ours.get(), 0));
  pair.send();
  pass(*reactor);
  EXPECT_EQ(probe.count(), 0);
  ASSERT_TRUE(probe.arm(pair.ours.get(), EPOLLIN));
  EXPECT_TRUE(probe.has(1));
}

// A hang-up is told once; a socket that is not armed, or not any more, does not keep the thread busy with it.
TEST_F(ReactorTest, DoesNotSpinOnAHangUp) {
  const auto reactor = Reactor::shared();
  const auto cpu_of_the_thread = [&] {
    std::promise<std::chrono::nanoseconds> measured;
    Reactor::Timer timer{
        *reactor, [&] {
          timespec used{};
          ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
          measured.set_value(std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec});
        }};
    timer.set(boot_now());
    return measured.get_future().get();
  };
  Pair disarmed, told;
  Probe first{*reactor}, second{*reactor};
  ASSERT_TRUE(first.arm(disarmed.ours.get(), EPOLLIN));
  ASSERT_TRUE(first.arm(disarmed.ours.get(), 0));
  ASSERT_TRUE(second.arm(told.ours.get(), EPOLLIN));
  disarmed.hang_up();
  told.hang_up();
  EXPECT_TRUE(second.has(1));
  EXPECT_TRUE(second.events() & EPOLLHUP);
  const auto before = cpu_of_the_thread();
  std::this_thread::sleep_for(100ms);  // in which it would do nothing else
  EXPECT_LT(cpu_of_the_thread() - before, 20ms);
  EXPECT_EQ(first.count(), 0);
  EXPECT_EQ(second.count(), 1);
}

// A source may change its descriptor, also to one that has the number of the last.
TEST_F(ReactorTest, WatchesOneDescriptorAfterTheOther) {
  const auto reactor = Reactor::shared();
  std::optional<Pair> first{std::in_place};
  const Pair other;
  Probe probe{*reactor};
  ASSERT_TRUE(probe.arm(first->ours.get(), EPOLLIN));
  ASSERT_TRUE(probe.arm(other.ours.get(), EPOLLIN));
  first->send();
  pass(*reactor);
  EXPECT_EQ(probe.count(), 0);
  other.send();
  EXPECT_TRUE(probe.has(1));
  ASSERT_TRUE(probe.arm(first->ours.get(), EPOLLIN));
  EXPECT_TRUE(probe.has(2));
  const int number = first->ours.get();
  first.reset();
  const Pair again;
  ASSERT_EQ(again.ours.get(), number);
  ASSERT_TRUE(probe.arm(number, EPOLLIN));
  pass(*reactor);
  EXPECT_EQ(probe.count(), 2);
  again.send();
  EXPECT_TRUE(probe.has(3));
}

// What epoll can not watch is no success, and does not spoil the source.
TEST_F(ReactorTest, SaysThatItCanNotWatch) {
  const auto reactor = Reactor::shared();
  const Pair pair;
  Probe probe{*reactor};
  const Descriptor file{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
  EXPECT_FALSE(probe.arm(file.get(), EPOLLIN));
  EXPECT_FALSE(probe.arm(-1, EPOLLIN));
  pair.send();
  EXPECT_TRUE(probe.arm(pair.ours.get(), EPOLLIN));
  EXPECT_TRUE(probe.has(1));
}

// leave() waits for a ready() that runs, and none runs afterwards.
TEST_F(ReactorTest, LeavingWaitsForWhatRuns) {
  const auto reactor = Reactor::shared();
  const Pair pair;
  std::promise<void> entered, go_on;
  std::atomic<bool> through{false};
  Probe probe{*reactor, [&](std::uint32_t) {
                entered.set_value();
                go_on.get_future().wait();
                through = true;
              }};
  pair.send();
  ASSERT_TRUE(probe.arm(pair.ours.get(), EPOLLIN));
  entered.get_future().wait();
  auto left = std::async(std::launch::async, [&] {
    probe.leave();
    return through.load();
  });
  EXPECT_EQ(left.wait_for(20ms), std::future_status::timeout);
  go_on.set_value();
  EXPECT_TRUE(left.get());
  EXPECT_FALSE(probe.arm(pair.ours.get(), EPOLLIN)) << "it has left for good";
}

// A source may go from within its own ready(), and take others along.
TEST_F(ReactorTest, ASourceMayGoInTheReactorsThread) {
  const auto reactor = Reactor::shared();
  const Pair pair;
  std::unique_ptr<Probe> itself, other;
  std::promise<void> gone;
  itself = std::make_unique<Probe>(*reactor, [&](std::uint32_t) {
    other.reset();
    itself->leave();
    gone.set_value();
  });
  other = std::make_unique<Probe>(*reactor);
  ASSERT_TRUE(other->arm(pair.peers.get(), EPOLLIN));
  pair.send();
  ASSERT_TRUE(itself->arm(pair.ours.get(), EPOLLIN));
  gone.get_future().wait();
  itself.reset();
}

// Threads arm, disarm and go while things happen: nobody is called after it has left.
TEST_F(ReactorTest, SourcesComeAndGo) {
  const auto reactor = Reactor::shared();
  std::atomic<int> called{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 200; ++turn) {
        const Pair pair;
        auto alive = std::make_unique<std::atomic<bool>>(true);
        Probe probe{*reactor, [&](std::uint32_t) { called += *alive ? 1 : -1'000'000; }};
        probe.arm(pair.ours.get(), EPOLLIN);
        pair.send();
        if (turn % 2 == 0) probe.arm(pair.ours.get(), 0);
        if (turn % 3 == 0) {
          EXPECT_TRUE(probe.arm(pair.ours.get(), EPOLLIN) && probe.has(1));
        }
        probe.leave();
        *alive = false;
        alive.reset();
      }
    });
  }
  threads.clear();
  EXPECT_GT(called, 0);
}

// ---- timers ---------------------------------------------------------------------------------------------------------

// Timers expire in the order of their times, none too early, on the clock that goes on in suspend.
TEST_F(ReactorTest, TimersExpireInTheirOrder) {
  const auto reactor = Reactor::shared();
  Log log;
  std::atomic<int> early{0};
  std::vector<std::unique_ptr<Reactor::Timer>> timers;
  timespec here{};
  ::clock_gettime(CLOCK_BOOTTIME, &here);
  EXPECT_GE(boot_now(), std::chrono::seconds{here.tv_sec} + std::chrono::nanoseconds{here.tv_nsec});
  const BootTime start = boot_now() + 5ms;
  for (const int place : {3, 1, 4, 2, 0}) {
    const BootTime due = start + place * 2ms;
    timers.push_back(std::make_unique<Reactor::Timer>(*reactor, [&, due, place] {
      if (boot_now() < due) ++early;
      log.add(place);
    }));
    timers.back()->set(due);
  }
  EXPECT_TRUE(log.has(5));
  EXPECT_THAT(log.numbers(), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(early, 0);
}

// A time takes the place of the one before, earlier or later; without one, or after cancel(), nothing expires.
TEST_F(ReactorTest, TimersAreSetAnewAndCancelled) {
  const auto reactor = Reactor::shared();
  Log log;
  Reactor::Timer never{*reactor, [&] { log.add(1); }};
  Reactor::Timer cancelled{*reactor, [&] { log.add(2); }};
  Reactor::Timer earlier{*reactor, [&] { log.add(3); }};
  Reactor::Timer later{*reactor, [&] { log.add(4); }};
  Reactor::Timer stays{*reactor, [&] { log.add(5); }};
  const BootTime here = boot_now();
  cancelled.set(here + 1ms);
  cancelled.cancel();
  earlier.set(here + 1h);
  earlier.set(here + 2ms);
  later.set(here + 2ms);
  later.set(here + 6ms);
  stays.set_no_later_than(here + 4ms);
  stays.set_no_later_than(here + 1h);
  EXPECT_TRUE(log.has(3));
  pass(*reactor);
  EXPECT_THAT(log.numbers(), ElementsAre(3, 5, 4));
  never.cancel();
  cancelled.set(BootTime::min());
  EXPECT_TRUE(log.has(4)) << "a time that has been long ago";
  stays.set_no_later_than(BootTime::max());
  stays.set_no_later_than(boot_now());
  EXPECT_TRUE(log.has(5));
  pass(*reactor);
  EXPECT_THAT(log.numbers(), ElementsAre(3, 5, 4, 2, 5));
}

// A timer may set itself again, with a lock held that it takes itself; and the others have their turn.
TEST_F(ReactorTest, TimersSetThemselves) {
  const auto reactor = Reactor::shared();
  std::mutex mutex;
  int runs = 0;
  std::promise<void> done;
  std::optional<Reactor::Timer> timer;
  timer.emplace(*reactor, [&] {
    const std::lock_guard lock{mutex};
    if (++runs == 100) return done.set_value();
    timer->set(boot_now());
  });
  {
    const std::lock_guard lock{mutex};
    timer->set(boot_now());
    timer->set(boot_now());
  }
  done.get_future().wait();
}

// From many threads at once: what is set expires, what was cancelled does not expire after its end.
TEST_F(ReactorTest, TimersAreThreadSafe) {
  const auto reactor = Reactor::shared();
  Reactor::Timer shared{*reactor, [] {}};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 100; ++turn) {
        auto alive = std::make_unique<std::atomic<int>>(0);
        {
          Reactor::Timer timer{*reactor, [&] { ++*alive; }};
          timer.set(boot_now() + 100us);
          shared.set(boot_now() + 50us);
          if (turn % 3 == 0) timer.cancel();
          if (turn % 3 == 1) {
            EXPECT_TRUE(eventually(limit, [&] { return *alive == 1; }));
          }
          shared.cancel();
        }
        alive.reset();
      }
    });
  }
}

// The end of a timer waits for what runs.
TEST_F(ReactorTest, TheEndOfATimerWaits) {
  const auto reactor = Reactor::shared();
  std::promise<void> entered, go_on;
  std::atomic<bool> through{false};
  auto timer = std::make_unique<Reactor::Timer>(*reactor, [&] {
    entered.set_value();
    go_on.get_future().wait();
    through = true;
  });
  timer->set(boot_now());
  entered.get_future().wait();
  timer->cancel();
  auto gone = std::async(std::launch::async, [&] {
    timer.reset();
    return through.load();
  });
  EXPECT_EQ(gone.wait_for(20ms), std::future_status::timeout);
  go_on.set_value();
  EXPECT_TRUE(gone.get());
}

// ... unless that is what ends it: then what it has captured lives until it returns.
TEST_F(ReactorTest, ATimerMayEndItself) {
  const auto reactor = Reactor::shared();
  auto captured = std::make_shared<int>(42);
  const std::weak_ptr<int> alive{captured};
  std::promise<int> seen;
  std::unique_ptr<Reactor::Timer> timer;
  timer = std::make_unique<Reactor::Timer>(*reactor, [&, captured = std::move(captured)] {
    timer.reset();
    seen.set_value(*captured);
  });
  timer->set(boot_now());
  EXPECT_EQ(seen.get_future().get(), 42);
  EXPECT_TRUE(eventually(limit, [&] { return alive.expired(); }));
}

// ---- kicks ----------------------------------------------------------------------------------------------------------

bool is_kicked(int fd) {
  pollfd polled{fd, POLLIN, 0};
  return ::poll(&polled, 1, 0) == 1;
}

// As many as are borrowed at the same time; each is clear when it is borrowed, whatever was done to it before.
TEST_F(ReactorTest, LendsKicks) {
  const auto reactor = Reactor::shared();
  const auto before = open_descriptors();
  int number = -1;
  for (int i = 0; i < 10; ++i) {
    const BorrowedKick first{*reactor}, second{*reactor};
    EXPECT_NE(first.fd(), second.fd());
    EXPECT_FALSE(is_kicked(first.fd()));
    BorrowedKick::kick(first.fd());
    EXPECT_TRUE(is_kicked(first.fd()));
    EXPECT_FALSE(is_kicked(second.fd()));
    second.clear();
    number = first.fd();
  }
  BorrowedKick::kick(number);  // late
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(is_kicked(BorrowedKick{*reactor}.fd()));
  EXPECT_EQ(open_descriptors(), before + 2);
}

// ---- fork -----------------------------------------------------------------------------------------------------------

// A child has a reactor of its own and none of the descriptors of its parent's, whose goes on. What it inherits does nothing.
TEST_F(ReactorTest, AChildHasItsOwn) {
  auto reactor = Reactor::shared();
  pass(*reactor);  // a thread that is just starting may leave the address sanitizer locked in the child
  const Pair pair;
  auto probe = std::make_unique<Probe>(*reactor);
  Log log;
  auto timer = std::make_unique<Reactor::Timer>(*reactor, [&] { log.add(1); });
  timer->set(boot_now() + 1h);
  auto kick = std::make_unique<BorrowedKick>(*reactor);
  const int kicks = kick->fd();
  ASSERT_TRUE(probe->arm(pair.ours.get(), EPOLLIN));
  const ChildProcess child{[&] {
    if (::fcntl(kicks, F_GETFD) >= 0) return 1;
    kick.reset();
    timer->set(boot_now());
    timer->cancel();
    timer.reset();
    if (probe->arm(pair.ours.get(), EPOLLIN)) return 2;
    probe.reset();
    const auto own = Reactor::shared();
    if (own == reactor) return 3;
    reactor.reset();
    Probe owns{*own};
    owns.arm(pair.peers.get(), EPOLLOUT);
    pass(*own);
    if (!owns.has(1) || !log.numbers().empty()) return 4;
    const ChildProcess grandchild{[&] {
      const auto third = Reactor::shared();
      pass(*third);
      return third != own ? 0 : 1;
    }};
    return grandchild.wait(limit) == exited(0) ? 0 : 5;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
  pass(*reactor);
  pair.send();
  EXPECT_TRUE(probe->has(1));
  timer->set(boot_now());
  EXPECT_TRUE(log.has(1));
  EXPECT_EQ(Reactor::shared(), reactor);
}

// Forked at any moment of others' coming and going, a child finds nothing locked.
TEST_F(ReactorTest, AChildFindsNothingLocked) {
  // The address sanitizer's own memory manager may be locked by one of them, see fork_test.cpp: there is none there.
  constexpr int others = under_address_sanitizer ? 0 : 3;
  std::vector<std::jthread> threads;
  for (int i = 0; i < others; ++i) {
    threads.emplace_back([](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        const auto reactor = Reactor::shared();
        const BorrowedKick kick{*reactor};
        Reactor::Timer timer{*reactor, [] {}};
        timer.set(boot_now());
      }
    });
  }
  for (int n = 0; n < 100; ++n) {
    const ChildProcess child{[] {
      const auto own = Reactor::shared();
      const BorrowedKick kick{*own};
      pass(*own);
      return 0;
    }};
    ASSERT_EQ(child.wait(limit), exited(0));
  }
}

}  // namespace
}  // namespace redismutex::net
