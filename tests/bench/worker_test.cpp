// Each part of the worker does its piece of work, with tiny numbers, against a real server: so that `make bench REFERENCE=...`
// still measures something when it is needed.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "programs.hpp"
#include "support/eventually.hpp"
#include "support/posix.hpp"
#include "support/process.hpp"
#include "support/server.hpp"
#include "support/temp_dir.hpp"
#include "turns.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

const std::string worker = REDISMUTEX_BENCH_WORKER;

class Worker : public ::testing::Test {
 protected:
  testing::Server server_;
};

TEST_F(Worker, TakesPairsWithEachClient) {
  for (const char* client : {"ours", "ours-fenced", "ours-listening", "ours-patient"}) {
    EXPECT_THAT(run_part({worker, "do-pairs", client, server_.url(), "5"}), SizeIs(0));
    EXPECT_GT(run_part({worker, "time-pairs", client, server_.url(), "5"}).at("pair_us"), 0);
  }
  EXPECT_FALSE(server_.exists("bench:pairs")) << "all were given back";
}

TEST_F(Worker, CountsAllocations) {
  EXPECT_THAT(run_part({worker, "count-allocations", "ours", server_.url(), "100"}).at("allocations"),
              AllOf(Gt(0.0), Lt(1000.0)));
}

TEST_F(Worker, WorksInThreads) {
  const auto figures = run_part({worker, "work-in-threads", "ours", server_.url(), "4", "20"});
  EXPECT_GT(figures.at("pairs"), 0);
  EXPECT_GT(figures.at("pairs_a_second"), 0);
  EXPECT_GT(figures.at("cpu_us"), 0);
}

TEST_F(Worker, TakesTurns) {
  const testing::TempDir directory;
  const std::string go = directory.file("go");
  const testing::Descriptor file{testing::checked(::open(go.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), go.c_str())};
  testing::checked(::flock(file.get(), LOCK_EX), go.c_str());
  const testing::ChildProcess players{testing::Program{
      .arguments = {worker, "take-turns", "ours-patient", server_.url(), "key", "1000", "0", go, "2", "2"}}};
  ASSERT_TRUE(testing::eventually(30s, [&] { return players.stdout_text() == "ready\n"; })) << players.stderr_text();
  const Nanoseconds start = monotonic_now();
  std::ofstream{go} << start << ' ' << start + 1'000'000'000 << '\n';
  testing::checked(::flock(file.get(), LOCK_UN), go.c_str());
  ASSERT_EQ(players.wait(30s), testing::exited(0)) << players.stderr_text();
  EXPECT_THAT(parse_turns(players.stdout_text()), SizeIs(Gt(0U)));
}

TEST_F(Worker, UsesConnections) {
  const auto figures = run_part({worker, "use-connections", server_.url(), "5"});
  EXPECT_GE(figures.at("descriptors"), 5);
  EXPECT_GE(figures.at("threads"), 1);
}

TEST_F(Worker, IsGrantedLocks) {
  const auto figures = run_part({worker, "be-granted", server_.url(), "10", "4"});
  EXPECT_EQ(figures.at("waiting"), 10);
  EXPECT_GT(figures.at("grant_us"), 0);
}

TEST_F(Worker, WaitsInLine) {
  const testing::ChildProcess part{testing::Program{.arguments = {worker, "wait-in-line", server_.url(), "10", "100"}}};
  EXPECT_TRUE(testing::eventually(30s, [&] { return server_.keys().size() == 20; })) << "a lock and a line for each";
  EXPECT_TRUE(testing::eventually(30s, [&] { return part.stdout_text().find("process") != std::string::npos; }));
  EXPECT_THAT(part.stdout_text(), HasSubstr("waiting 10\n"));
}

TEST_F(Worker, SaysWhatFailed) {
  EXPECT_THAT(
      [&] {
        run_part({worker, "do-pairs", "nobody", server_.url(), "1"});
      },
      ThrowsMessage<std::runtime_error>(HasSubstr("no locker 'nobody'")));
}

}  // namespace
}  // namespace redismutex::bench
