// A keeper that gets no thread for what it has to do stops the command, and gives the lock back only when all of it is
// dead. A library in LD_PRELOAD (no_threads.cpp) lets so many threads start as $THREADS_TO_START says, and no more.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "command.hpp"
#include "run_processes.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using ::testing::IsEmpty;

class ThreadFailure : public ::testing::TestWithParam<int> {};

TEST_P(ThreadFailure, StopsTheCommandBeforeTheLockIsFree) {
  Server server;
  const Notes notes;
  const RunMark mark;
  const auto process =
      start_redismutex({"run", "--expiry", "1", "k", "sh", "-c",
                        "trap '' TERM; echo x > $DIR/inside; setsid sleep 1000 & while :; do sleep 0.01; done"},
                       {"REDIS_URL=" + server.url(), notes.variable(), mark.variable(),
                        "LD_PRELOAD=" NO_THREADS_LIBRARY, "THREADS_TO_START=" + std::to_string(GetParam())});
  ASSERT_TRUE(notes.appears("inside"));
  ASSERT_TRUE(eventually(limit, [&] { return !server.exists("k"); }));
  EXPECT_THAT(mark.processes_of_command(), IsEmpty());
  EXPECT_EQ(process.wait(limit), exited(79)) << process.stderr_text();
}

// The first thread renews the lock, those after it are the library's.
INSTANTIATE_TEST_SUITE_P(AfterThreads, ThreadFailure, ::testing::Values(0, 1, 2));

}  // namespace
}  // namespace redismutex::testing
