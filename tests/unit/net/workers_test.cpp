#include "net/workers.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "net/reactor.hpp"
#include "support/allocations.hpp"
#include "support/descriptors.hpp"
#include "support/eventually.hpp"
#include "support/limits.hpp"
#include "support/process.hpp"
#include "support/sanitizers.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::ChildProcess;
using redismutex::testing::eventually;
using redismutex::testing::exited;
using redismutex::testing::open_descriptors;
using redismutex::testing::sanitized;
using redismutex::testing::thread_count;
using redismutex::testing::thread_count_at_rest;

using testing::limit;

/// A task that counts its runs.
class Counted {
 public:
  Counted(Workers& workers, std::function<void()> what)
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

/// What runs may wait here until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock lock{mutex_};
    ++inside_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    --inside_;
    changed_.notify_all();
  }
  void open() {
    const std::lock_guard lock{mutex_};
    open_ = true;
    changed_.notify_all();
  }
  bool holds(std::size_t count) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, limit, [&] { return inside_ >= count; });
  }
  bool is_left() {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, limit, [&] { return inside_ == 0; });
  }
  std::size_t count() {
    const std::lock_guard lock{mutex_};
    return inside_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t inside_ = 0;
  bool open_ = false;
};

struct WorkersTest : ::testing::Test {
  Workers& workers() const { return reactor->workers(); }

  const long threads = thread_count_at_rest();
  std::shared_ptr<Reactor> reactor = Reactor::shared();
};

// There is no thread before one is needed, then one; it ends with the reactor.
TEST_F(WorkersTest, AreNoneUntilTheyAreNeeded) {
  EXPECT_EQ(thread_count(), threads + 1);
  workers().get_ready();
  workers().get_ready();
  EXPECT_EQ(thread_count(), threads + 2);
  {
    std::atomic<bool> there{false};
    Counted task{workers(), [&] { there = workers().runs_this_thread() && !reactor->runs_this_thread(); }};
    EXPECT_FALSE(workers().runs_this_thread());
    for (int i = 1; i <= 100; ++i) {
      task.post();
      ASSERT_TRUE(task.has_run(i));
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
    Counted task{own->workers(), [] {}};
    task.post();
    return task.has_run(1) ? 0 : 4;
  }};
  EXPECT_EQ(child.wait(limit), exited(0)) << child.stderr_text();
}

// A task that waits is there once; one that is posted while it runs, runs once more, and never at the same time.
TEST_F(WorkersTest, ATaskRunsInOneThreadAtATime) {
  workers().get_ready();
  Gate gate;
  std::atomic<int> inside{0}, most{0};
  Counted task{workers(), [&] {
                 if (++inside > 1) most = 2;
                 gate.pass();
                 --inside;
               }};
  task.post();
  ASSERT_TRUE(gate.holds(1));
  for (int i = 0; i < 3; ++i) task.post();
  gate.open();
  EXPECT_TRUE(task.has_run(2));
  task.withdraw();
  EXPECT_EQ(task.runs(), 2);
  EXPECT_EQ(most, 0);
}

// Those who are stuck do not hold up others, up to the limit; and those who are idle end.
TEST_F(WorkersTest, AreMoreWhileSomeAreStuck) {
  workers().get_ready();
  Gate gate;
  std::vector<std::unique_ptr<Counted>> tasks;
  for (std::size_t i = 0; i < Workers::most_at_a_time + 1; ++i) {
    tasks.push_back(std::make_unique<Counted>(workers(), [&] { gate.pass(); }));
    tasks.back()->post();
  }
  ASSERT_TRUE(gate.holds(Workers::most_at_a_time));
  EXPECT_EQ(thread_count(), threads + 1 + static_cast<long>(Workers::most_at_a_time));
  EXPECT_EQ(tasks.back()->runs(), 0);
  gate.open();
  for (const auto& task : tasks) EXPECT_TRUE(task->has_run(1));
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads + 2; }));
  tasks.front()->post();
  EXPECT_TRUE(tasks.front()->has_run(2));
}

// A task that is withdrawn does not run; one that runs is waited for.
TEST_F(WorkersTest, Withdraw) {
  workers().get_ready();
  Gate gate;
  Counted holds{workers(), [&] { gate.pass(); }}, second{workers(), [] {}};
  second.withdraw();
  std::vector<std::unique_ptr<Counted>> others;
  for (std::size_t i = 1; i < Workers::most_at_a_time; ++i) {
    others.push_back(std::make_unique<Counted>(workers(), [&] { gate.pass(); }));
    others.back()->post();
  }
  holds.post();
  ASSERT_TRUE(gate.holds(Workers::most_at_a_time));
  second.post();
  second.withdraw();
  holds.post();
  std::promise<void> begun;
  auto withdrawn = std::async(std::launch::async, [&] {
    begun.set_value();
    holds.withdraw();
    return holds.runs();
  });
  begun.get_future().wait();
  EXPECT_EQ(withdrawn.wait_for(20ms), std::future_status::timeout);
  gate.open();
  EXPECT_EQ(withdrawn.get(), 1);
  EXPECT_EQ(second.runs(), 0);
  for (const auto& other : others) other->withdraw();
}

/// Never destroyed: when the reactor has ended there is nobody that it could be withdrawn from.
Workers::Task& task_that_stays(Workers& workers, std::function<void()> run) {
  static auto* const all = new std::list<Workers::Task>;
  return all->emplace_back(workers, std::move(run));
}

// The last owner of the reactor may go in a worker.
TEST_F(WorkersTest, OneMayBeTheLastOwner) {
  const auto descriptors = open_descriptors();
  workers().get_ready();
  Workers& its_workers = workers();
  task_that_stays(its_workers, [last = std::move(reactor)]() mutable { last.reset(); }).post();
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads && open_descriptors() < descriptors; }));
}

// ---- jobs -----------------------------------------------------------------------------------------------------------

/// Runs a function, which it owns.
template <class What>
class Runs final : public Job {
 public:
  explicit Runs(What what) : what_{std::move(what)} {}
  void run() noexcept override { what_(); }

 private:
  What what_;
};

template <class What>
std::unique_ptr<Job> job(What what) {
  return std::make_unique<Runs<What>>(std::move(what));
}

/// Tells in which threads it is run and destroyed.
class Witness final : public Job {
 public:
  Witness(std::vector<std::thread::id>& seen, std::promise<void>& destroyed) : seen_{seen}, destroyed_{destroyed} {}
  ~Witness() override {
    seen_.push_back(std::this_thread::get_id());
    destroyed_.set_value();
  }
  void run() noexcept override { seen_.push_back(std::this_thread::get_id()); }

 private:
  std::vector<std::thread::id>& seen_;
  std::promise<void>& destroyed_;
};

// A job is run once, and destroyed in the thread that ran it. To post it needs no memory.
TEST_F(WorkersTest, AJobIsRunAndDestroyedThere) {
  workers().get_ready();
  std::vector<std::thread::id> seen;
  std::promise<void> destroyed;
  std::unique_ptr<Job> witness = std::make_unique<Witness>(seen, destroyed);
  const auto allocations = redismutex::testing::allocations();
  workers().post(std::move(witness));
  EXPECT_EQ(redismutex::testing::allocations(), allocations);
  ASSERT_EQ(destroyed.get_future().wait_for(limit), std::future_status::ready);
  ASSERT_EQ(seen.size(), 2);
  EXPECT_EQ(seen.front(), seen.back());
  EXPECT_NE(seen.front(), std::this_thread::get_id());
}

// A task may leave the line from any place.
TEST_F(WorkersTest, ATaskIsWithdrawnFromAmongOthers) {
  workers().get_ready();
  Gate gate;
  std::vector<std::unique_ptr<Counted>> stuck;
  for (std::size_t i = 0; i < Workers::most_at_a_time; ++i) {
    stuck.push_back(std::make_unique<Counted>(workers(), [&] { gate.pass(); }));
    stuck.back()->post();
  }
  ASSERT_TRUE(gate.holds(Workers::most_at_a_time));
  Counted first{workers(), [] {}}, amid{workers(), [] {}}, last{workers(), [] {}}, stays{workers(), [] {}};
  for (Counted* task : {&first, &amid, &stays, &last}) task->post();
  for (Counted* task : {&amid, &last, &first}) task->withdraw();
  gate.open();
  EXPECT_TRUE(gate.is_left());
  EXPECT_TRUE(stays.has_run(1));
  EXPECT_EQ(first.runs() + amid.runs() + last.runs(), 0);
}

// Users' code that does not return, as much of it as there may be, holds up no task: a Connection is dialled anew all the same.
TEST_F(WorkersTest, JobsThatAreStuckHoldUpNoTask) {
  workers().get_ready();
  Gate gate;
  std::atomic<int> runs{0};
  for (std::size_t i = 0; i < Workers::most_at_a_time; ++i) workers().post(job([&] { gate.pass(); }));
  ASSERT_TRUE(gate.holds(Workers::most_at_a_time));
  workers().post(job([&] { ++runs; }));
  Counted task{workers(), [] {}};
  for (int i = 1; i <= 3; ++i) {
    task.post();
    EXPECT_TRUE(task.has_run(i));
  }
  EXPECT_EQ(runs, 0);
  gate.open();
  EXPECT_TRUE(eventually(limit, [&] { return runs == 1; }));
  EXPECT_TRUE(gate.is_left());
}

// However many are stuck, the others begin at once: at the first look there come as many threads as are needed.
TEST_F(WorkersTest, AHundredStuckJobsBeginTogether) {
  constexpr int count = 100;
  // With one thread more at each look it would take 200 ms, however idle the machine is.
  constexpr auto together = count * Workers::patience * 9 / 10;
  reactor.reset();
  auto least = std::chrono::steady_clock::duration::max();
  for (int round = 0; round < (sanitized ? 1 : 10) && least >= together; ++round) {
    ASSERT_TRUE(eventually(limit, [&] { return thread_count() == threads; })) << "idle threads of the last round";
    reactor = Reactor::shared();
    workers().get_ready();
    Gate gate;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) workers().post(job([&gate] { gate.pass(); }));
    ASSERT_TRUE(gate.holds(count));
    least = std::min(least, std::chrono::steady_clock::now() - start);
    gate.open();
    EXPECT_TRUE(gate.is_left());
    reactor.reset();
  }
  if (!sanitized) {  // there, a thread alone may take that long to start
    EXPECT_LT(least, together);
  }
}

// Nobody joins the threads of a reactor whose last owner goes in one of them: what they use is shared with them.

// The last owner of the reactor does not wait for jobs when it goes: one that runs, and one that waits, keep it.
TEST_F(WorkersTest, NobodyWaitsForJobs) {
  const auto descriptors = open_descriptors();
  workers().get_ready();
  const auto gate = std::make_shared<Gate>();
  const auto runs = std::make_shared<std::atomic<std::size_t>>(0);
  for (std::size_t i = 0; i <= Workers::most_at_a_time; ++i) {
    workers().post(job([gate, runs] {
      gate->pass();
      ++*runs;
    }));
  }
  ASSERT_TRUE(gate->holds(Workers::most_at_a_time));
  auto gone = std::async(std::launch::async, [last = std::move(reactor)]() mutable { last.reset(); });
  EXPECT_EQ(gone.wait_for(limit), std::future_status::ready);
  EXPECT_EQ(*runs, 0);
  gate->open();
  gone.wait();
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads && open_descriptors() < descriptors; }));
  EXPECT_EQ(*runs, Workers::most_at_a_time + 1);
}

// The last owner of the reactor may go in a job, or with it.
TEST_F(WorkersTest, AJobMayBeTheLastOwner) {
  reactor.reset();
  const auto descriptors = open_descriptors();
  for (const bool as_it_runs : {true, false}) {
    auto own = Reactor::shared();
    own->workers().get_ready();
    const auto gate = std::make_shared<Gate>();
    own->workers().post(job([gate, last = own, as_it_runs]() mutable {
      gate->pass();
      if (as_it_runs) last.reset();
    }));
    own.reset();
    gate->open();
    EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads && open_descriptors() == descriptors; }));
  }
}

// What is posted while the reactor ends is run before it has ended.
TEST_F(WorkersTest, JobsPostedAtTheEndAreRun) {
  workers().get_ready();
  const auto run = std::make_shared<std::promise<void>>();
  Workers& ending = workers();
  task_that_stays(ending, [&ending, run, last = std::move(reactor)]() mutable {
    last.reset();
    ending.post(job([&ending, run] { ending.post(job([run] { run->set_value(); })); }));
  }).post();
  EXPECT_EQ(run->get_future().wait_for(limit), std::future_status::ready);
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads; }));
}

// If no thread is to be had for what waits, that is tried again and again.
TEST_F(WorkersTest, MoreThreadsAreTriedAgain) {
  reactor.reset();
  const ChildProcess child{[] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) return 1;
    const auto own = Reactor::shared();
    own->workers().get_ready();
    rlimit present{};
    ::getrlimit(RLIMIT_NPROC, &present);
    const rlim_t before = std::exchange(present.rlim_cur, 0);
    ::setrlimit(RLIMIT_NPROC, &present);
    Gate gate;
    for (int i = 0; i < 10; ++i) own->workers().post(job([&gate] { gate.pass(); }));
    // The reactor takes its timers in their order: when this one is through, it has looked.
    std::promise<void> looked;
    Reactor::Timer later{*own, [&] { looked.set_value(); }};
    later.set(boot_now() + 2 * Workers::patience);
    looked.get_future().wait();
    if (!gate.holds(1) || gate.count() != 1) return 2;
    present.rlim_cur = before;
    ::setrlimit(RLIMIT_NPROC, &present);
    const bool all = gate.holds(10);
    gate.open();
    return all && gate.is_left() ? 0 : 3;
  }};
  EXPECT_EQ(child.wait(limit), exited(0)) << child.stderr_text();
}

// ---- at once --------------------------------------------------------------------------------------------------------

// From many threads at once: whatever is posted runs, and nothing after it was withdrawn.
TEST_F(WorkersTest, AreThreadSafe) {
  workers().get_ready();
  std::vector<std::jthread> posting;
  for (int i = 0; i < 4; ++i) {
    posting.emplace_back([&] {
      for (int turn = 0; turn < 300; ++turn) {
        auto alive = std::make_unique<std::atomic<int>>(0);
        Counted task{workers(), [&] { ++*alive; }};
        task.post();
        if (turn % 2 == 0) {
          EXPECT_TRUE(task.has_run(1));
        }
        task.post();
        task.withdraw();
        alive.reset();
      }
    });
  }
}

}  // namespace
}  // namespace redismutex::net
