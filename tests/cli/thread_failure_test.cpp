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

// The first thread is the library's, and there before anything is asked of the server; then comes the one that renews the lock.
INSTANTIATE_TEST_SUITE_P(AfterThreads, ThreadFailure, ::testing::Values(1, 2));

TEST(WithoutThreads, NothingBegins) {
  Server server;
  const Notes notes;
  const auto process = start_redismutex(
      {"run", "k", "sh", "-c", "echo x > $DIR/inside"},
      {"REDIS_URL=" + server.url(), notes.variable(), "LD_PRELOAD=" NO_THREADS_LIBRARY, "THREADS_TO_START=0"});
  EXPECT_EQ(process.wait(limit), exited(70));
  EXPECT_THAT(process.stderr_text(), ::testing::HasSubstr("cannot acquire lock 'k'"));
  EXPECT_EQ(notes.read("inside"), "");
  EXPECT_FALSE(server.exists("k"));
}

}  // namespace
}  // namespace redismutex::testing
