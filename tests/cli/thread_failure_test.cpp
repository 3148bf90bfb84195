// A keeper that gets no thread for what it has to do does not begin: all that it will need is there before it asks for the
// lock. A library in LD_PRELOAD (no_threads.cpp) lets so many threads start as $THREADS_TO_START says, and no more.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "command.hpp"
#include "run_processes.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using ::testing::IsEmpty;

class ThreadFailure : public ::testing::TestWithParam<int> {};

TEST_P(ThreadFailure, IsFoundOutBeforeAnythingBegins) {
  Server server;
  const Notes notes;
  const auto process =
      start_redismutex({"run", "-n", "k", "sh", "-c", "echo x > $DIR/inside"},
                       {"REDIS_URL=" + server.url(), notes.variable(), "LD_PRELOAD=" NO_THREADS_LIBRARY,
                        "THREADS_TO_START=" + std::to_string(GetParam())});
  EXPECT_EQ(process.wait(limit), exited(70));
  EXPECT_THAT(process.stderr_text(), ::testing::HasSubstr("cannot acquire lock 'k'"));
  EXPECT_EQ(notes.read("inside"), "");
  EXPECT_FALSE(server.exists("k"));
}

// The first is the reactor's, the second is for what takes its time.
INSTANTIATE_TEST_SUITE_P(AfterThreads, ThreadFailure, ::testing::Values(0, 1));

// Nothing more is needed to renew, to lose and to stop.
TEST(WithTwoThreads, AllIsStoppedBeforeTheLockIsFree) {
  Server server;
  const Notes notes;
  const RunMark mark;
  const auto process =
      start_redismutex({"run", "--expiry", "1", "k", "sh", "-c",
                        "trap '' TERM; echo x > $DIR/inside; setsid sleep 1000 & while :; do sleep 0.01; done"},
                       {"REDIS_URL=" + server.url(), notes.variable(), mark.variable(),
                        "LD_PRELOAD=" NO_THREADS_LIBRARY, "THREADS_TO_START=2"});
  ASSERT_TRUE(notes.appears("inside"));
  server.pause();
  EXPECT_EQ(process.wait(limit), exited(79)) << process.stderr_text();
  EXPECT_THAT(mark.processes_of_command(), IsEmpty());
  server.resume();
}

}  // namespace
}  // namespace redismutex::testing
