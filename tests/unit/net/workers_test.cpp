#include "net/workers.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "net/reactor.hpp"
#include "support/descriptors.hpp"
#include "support/eventually.hpp"
#include "support/process.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::ChildProcess;
using redismutex::testing::eventually;
using redismutex::testing::exited;
using redismutex::testing::open_descriptors;
using redismutex::testing::thread_count;

constexpr auto limit = 10s;  // for what must happen

class Job {
 public:
  Job(Workers& workers, std::function<void()> what)
      : task_{workers, [this, what = std::move(what)] {
                what();
                ++runs_;
              }} {}
  void post() noexcept { task_.post(); }
  void withdraw() noexcept { task_.withdraw(); }
  int runs() const noexcept { return runs_; }
  bool has_run(int times) const {
    return eventually(limit, [&] { return runs_ >= times; });
  }

 private:
  std::atomic<int> runs_{0};
  Workers::Task task_;
};

/// Jobs may wait here until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock lock{mutex_};
    ++inside_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    --inside_;
  }
  void open() {
    const std::lock_guard lock{mutex_};
    open_ = true;
    changed_.notify_all();
  }
  bool holds(int count) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, limit, [&] { return inside_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0;
  bool open_ = false;
};

struct WorkersTest : ::testing::Test {
  WorkersTest() {
    std::thread{[] {}}.join();  // with the first one the thread sanitizer starts one of its own
    threads = thread_count();
    reactor = Reactor::shared();
  }

  Workers& workers() const { return reactor->workers(); }

  long threads = 0;
  std::shared_ptr<Reactor> reactor;
};

// There is no thread before one is needed, then one; it ends with the reactor.
TEST_F(WorkersTest, AreNoneUntilTheyAreNeeded) {
  EXPECT_EQ(thread_count(), threads + 1);
  workers().get_ready();
  workers().get_ready();
  EXPECT_EQ(thread_count(), threads + 2);
  {
    std::atomic<bool> there{false};
    Job job{workers(), [&] { there = workers().runs_this_thread() && !reactor->runs_this_thread(); }};
    EXPECT_FALSE(workers().runs_this_thread());
    for (int i = 1; i <= 100; ++i) {
      job.post();
      ASSERT_TRUE(job.has_run(i));
    }
    EXPECT_TRUE(there);
    // On a busy machine there may have been more for a while.
    EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads + 2; }));
  }
  reactor.reset();
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads; }));  // the kernel may need a moment
}

// Without a thread there is an error, and the next time it works.
TEST_F(WorkersTest, SayThatThereIsNoThread) {
  reactor.reset();
  const ChildProcess child{[] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) return 1;
    const auto own = Reactor::shared();
    rlimit present{};
    ::getrlimit(RLIMIT_NPROC, &present);
    const rlim_t before = std::exchange(present.rlim_cur, 0);
    ::setrlimit(RLIMIT_NPROC, &present);
    try {
      own->workers().get_ready();
      return 2;
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::resource_unavailable_try_again) return 3;
    }
    present.rlim_cur = before;
    ::setrlimit(RLIMIT_NPROC, &present);
    own->workers().get_ready();
    Job job{own->workers(), [] {}};
    job.post();
    return job.has_run(1) ? 0 : 4;
  }};
  EXPECT_EQ(child.wait(limit), exited(0)) << child.stderr_text();
}

// A task that waits is there once; one that is posted while it runs, runs once more, and never at the same time.
TEST_F(WorkersTest, ATaskRunsInOneThreadAtATime) {
  workers().get_ready();
  Gate gate;
  std::atomic<int> inside{0}, most{0};
  Job job{workers(), [&] {
            if (++inside > 1) most = 2;
            gate.pass();
            --inside;
          }};
  job.post();
  ASSERT_TRUE(gate.holds(1));
  for (int i = 0; i < 3; ++i) job.post();
  gate.open();
  EXPECT_TRUE(job.has_run(2));
  job.withdraw();
  EXPECT_EQ(job.runs(), 2);
  EXPECT_EQ(most, 0);
}

// Those who are stuck do not hold up others, up to the limit; and those who are idle end.
TEST_F(WorkersTest, AreMoreWhileSomeAreStuck) {
  workers().get_ready();
  Gate gate;
  std::vector<std::unique_ptr<Job>> jobs;
  for (std::size_t i = 0; i < Workers::most_threads + 1; ++i) {
    jobs.push_back(std::make_unique<Job>(workers(), [&] { gate.pass(); }));
    jobs.back()->post();
  }
  ASSERT_TRUE(gate.holds(Workers::most_threads));
  EXPECT_EQ(thread_count(), threads + 1 + static_cast<long>(Workers::most_threads));
  EXPECT_EQ(jobs.back()->runs(), 0);
  gate.open();
  for (const auto& job : jobs) EXPECT_TRUE(job->has_run(1));
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads + 2; }));
  jobs.front()->post();
  EXPECT_TRUE(jobs.front()->has_run(2));
}

// A task that is withdrawn does not run; one that runs is waited for.
TEST_F(WorkersTest, Withdraw) {
  workers().get_ready();
  Gate gate;
  Job holds{workers(), [&] { gate.pass(); }}, second{workers(), [] {}};
  second.withdraw();
  std::vector<std::unique_ptr<Job>> others;
  for (std::size_t i = 1; i < Workers::most_threads; ++i) {
    others.push_back(std::make_unique<Job>(workers(), [&] { gate.pass(); }));
    others.back()->post();
  }
  holds.post();
  ASSERT_TRUE(gate.holds(Workers::most_threads));
  second.post();
  second.withdraw();
  holds.post();
  auto withdrawn = std::async(std::launch::async, [&] {
    holds.withdraw();
    return holds.runs();
  });
  EXPECT_EQ(withdrawn.wait_for(20ms), std::future_status::timeout);
  gate.open();
  EXPECT_EQ(withdrawn.get(), 1);
  EXPECT_EQ(second.runs(), 0);
  for (const auto& other : others) other->withdraw();
}

// The last owner of the reactor may go in a worker.
TEST_F(WorkersTest, OneMayBeTheLastOwner) {
  const auto descriptors = open_descriptors();
  workers().get_ready();
  // Never destroyed: when the reactor has ended there is nobody that it could be withdrawn from.
  static auto* const task = new Workers::Task{workers(), [last = std::move(reactor)]() mutable { last.reset(); }};
  task->post();
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads && open_descriptors() < descriptors; }));
}

// From many threads at once: whatever is posted runs, and nothing after it was withdrawn.
TEST_F(WorkersTest, AreThreadSafe) {
  workers().get_ready();
  std::vector<std::jthread> posting;
  for (int i = 0; i < 4; ++i) {
    posting.emplace_back([&] {
      for (int turn = 0; turn < 300; ++turn) {
        auto alive = std::make_unique<std::atomic<int>>(0);
        Job job{workers(), [&] { ++*alive; }};
        job.post();
        if (turn % 2 == 0) {
          EXPECT_TRUE(job.has_run(1));
        }
        job.post();
        job.withdraw();
        alive.reset();
      }
    });
  }
}

}  // namespace
}  // namespace redismutex::net
