// --report FILE: a file for node_exporter that is whole at each moment, and in which no run of several at once is lost.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "command.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class ReportTest : public ::testing::Test {
 protected:
  ExitStatus run(const std::vector<std::string>& options, const std::vector<std::string>& command,
                 const std::string& key = "k") {
    std::vector<std::string> arguments{"run", "--report", notes_.path("jobs.prom")};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.push_back(key);
    arguments.insert(arguments.end(), command.begin(), command.end());
    return redismutex(arguments, {"REDIS_URL=" + server_.url(), notes_.variable()}).status;
  }

  std::string report() const { return notes_.read("jobs.prom"); }

  Notes notes_;
  Server server_;
};

std::string counted(const std::string& outcome, int number, const std::string& key = "k") {
  return "redismutex_runs_total{lock=\"" + key + "\",outcome=\"" + outcome + "\"} " + std::to_string(number) + "\n";
}

TEST_F(ReportTest, CountsRunsByTheirOutcome) {
  EXPECT_EQ(run({}, {"true"}), exited(0));
  EXPECT_EQ(run({}, {"true"}), exited(0));
  EXPECT_EQ(run({}, {"sh", "-c", "exit 9"}), exited(9));
  EXPECT_EQ(run({}, {"/no/such/program"}), exited(127));
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  EXPECT_EQ(run({"-n", "-q", "-E", "0"}, {"true"}), exited(0));
  server_.command({"DEL", "k"});
  EXPECT_EQ(run({}, {"sh", "-c", "redis-cli -s " + server_.socket_path() + " del k; sleep 100"}), exited(79));
  EXPECT_EQ(run({}, {"sh", "-c", "exit 79"}), exited(79));  // which means something else there
  server_.stop();
  EXPECT_EQ(run({"-n"}, {"true"}), exited(69));
  EXPECT_THAT(report(),
              AllOf(HasSubstr(counted("ran", 2)), HasSubstr(counted("failed", 3)), HasSubstr(counted("skipped", 1)),
                    HasSubstr(counted("lost", 1)), HasSubstr(counted("unreachable", 1))));
}

// A rotated password, a key that is another program's, a full server: nobody gets a lock there, and the command has not failed.
TEST_F(ReportTest, CountsAServerThatRefusesAsUnreachable) {
  server_.command({"CONFIG", "SET", "requirepass", "secret"});
  EXPECT_EQ(run({"-n"}, {"true"}), exited(77));
  EXPECT_THAT(report(), AllOf(HasSubstr(counted("unreachable", 1)), Not(HasSubstr(counted("failed", 1)))));
}

TEST_F(ReportTest, TellsTimesAndTheExitStatus) {
  const auto now = std::to_string(std::time(nullptr)).substr(0, 7);
  EXPECT_EQ(run({}, {"sh", "-c", "sleep 0.2"}), exited(0));
  EXPECT_THAT(report(), AllOf(HasSubstr("redismutex_run_last_success_timestamp_seconds{lock=\"k\"} " + now),
                              HasSubstr("redismutex_run_last_start_timestamp_seconds{lock=\"k\"} " + now),
                              ContainsRegex("redismutex_run_duration_seconds.lock=\"k\". [0-9]+\\.[2-9]"),
                              ContainsRegex("redismutex_run_wait_seconds.lock=\"k\". [0-9]+\\."),
                              HasSubstr("redismutex_run_exit_status{lock=\"k\"} 0\n"),
                              HasSubstr("# TYPE redismutex_runs_total counter\n")));
  const auto before = report();
  EXPECT_EQ(run({}, {"false"}), exited(1));
  EXPECT_THAT(report(), HasSubstr("redismutex_run_exit_status{lock=\"k\"} 1\n"));
  const auto success = before.find("redismutex_run_last_success_timestamp_seconds{");
  EXPECT_THAT(report(), HasSubstr(before.substr(success, before.find('\n', success) - success)));
}

TEST_F(ReportTest, LosesNoRunOfSeveralAtOnce) {
  std::vector<ChildProcess> processes;
  for (int i = 0; i < 20; ++i) {
    processes.push_back(
        start_redismutex({"run", "--report", notes_.path("jobs.prom"), i % 2 == 0 ? "even" : "o\"dd", "true"},
                         {"REDIS_URL=" + server_.url()}));
  }
  for (const auto& process : processes) EXPECT_EQ(process.wait(limit), exited(0)) << process.stderr_text();
  EXPECT_THAT(report(), AllOf(HasSubstr(counted("ran", 10, "even")), HasSubstr(counted("ran", 10, "o\\\"dd"))));
  for (const auto& entry : std::filesystem::directory_iterator(notes_.directory())) {
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr(".tmp")));
  }
}

TEST_F(ReportTest, ThatCanNotBeWrittenLeavesTheExitStatusAlone) {
  const auto result = redismutex({"run", "--report", "/no/such/directory/x.prom", "k", "sh", "-c", "exit 4"},
                                 {"REDIS_URL=" + server_.url()});
  EXPECT_EQ(result.status, exited(4));
  EXPECT_THAT(result.err, HasSubstr("the report was not written: /no/such/directory/x.prom"));
}

// It would be replaced: by mistake it may be any file of the user's. Nothing is run.
TEST_F(ReportTest, DestroysNothing) {
  notes_.write("mine.prom", "backup_ok{host=\"a\"} 1\n");
  for (const std::string& file :
       {notes_.path("mine.prom"), notes_.directory(), std::string{"/dev/null"}, std::string{}}) {
    const auto result = redismutex({"run", "--report", file, "k", "true"}, {"REDIS_URL=" + server_.url()});
    EXPECT_EQ(result.status, exited(64)) << file;
    EXPECT_THAT(result.err, HasSubstr("--report")) << file;
  }
  EXPECT_EQ(notes_.read("mine.prom"), "backup_ok{host=\"a\"} 1\n");
}

TEST_F(ReportTest, ALinkStaysOne) {
  std::filesystem::create_symlink(notes_.path("real.prom"), notes_.path("jobs.prom"));
  EXPECT_EQ(run({}, {"true"}), exited(0));
  EXPECT_TRUE(std::filesystem::is_symlink(notes_.path("jobs.prom")));
  EXPECT_THAT(notes_.read("real.prom"), HasSubstr(counted("ran", 1)));
}

// A parser of others reads it, and finds each lock by the name that people see.
TEST_F(ReportTest, IsWhatPrometheusReads) {
  for (const auto* key : {"k", "a \"b\" \\ {c=\"d\"} 1", "x\ny\xff\tz", "k\xc3\xa4y"}) {
    EXPECT_EQ(run({}, {"true"}, key), exited(0));
    EXPECT_EQ(run({}, {"sh", "-c", "exit 3"}, key), exited(3));
  }
  constexpr auto source = R"(
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(open(sys.argv[1], encoding='utf-8').read()):
    for sample in family.samples:
        print(family.type, sample.name, sample.labels.get('outcome'), ascii(sample.labels['lock']), sample.value)
)";
  const ChildProcess python(Program{.arguments = {REDISMUTEX_PYTHON, "-c", source, notes_.path("jobs.prom")}});
  const auto result = result_of(python);
  EXPECT_EQ(result.status, exited(0)) << result.err;
  for (const auto* key : {"'k'", "'a \"b\" \\\\ {c=\"d\"} 1'", "'x\\\\ny\\\\xff\\\\tz'", "'k\\xe4y'"}) {
    EXPECT_THAT(result.out, AllOf(HasSubstr(std::string{"counter redismutex_runs_total ran "} + key + " 1.0\n"),
                                  HasSubstr(std::string{"counter redismutex_runs_total failed "} + key + " 1.0\n"),
                                  HasSubstr(std::string{"gauge redismutex_run_exit_status None "} + key + " 3.0\n")));
  }
}

}  // namespace
}  // namespace redismutex::testing
