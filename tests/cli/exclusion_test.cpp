// Commands under one key never run together, whatever they are and wherever they come from.

#include <gtest/gtest.h>

#include "command.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

/// A witness in shell: only one can make the directory, and a counter is read, kept for a while, and written.
constexpr auto increments = R"(
  mkdir $DIR/inside || echo together >> $DIR/violations
  read n < $DIR/counter
  sleep 0.01
  echo $((n + 1)) > $DIR/counter
  rmdir $DIR/inside)";

TEST(Exclusion, OfManyCommands) {
  constexpr int runs = 12;
  const Server server;
  const Notes notes;
  notes.write("counter", "0\n");
  std::vector<ChildProcess> processes;
  for (int i = 0; i < runs; ++i) {
    processes.push_back(
        start_redismutex({"run", "k", "sh", "-c", increments}, {"REDIS_URL=" + server.url(), notes.variable()}));
  }
  for (const auto& process : processes) {
    const auto result = result_of(process);
    EXPECT_EQ(result.status, exited(0));
    EXPECT_EQ(result.err, "");
  }
  EXPECT_EQ(notes.read("counter"), std::to_string(runs) + "\n");
  EXPECT_EQ(notes.read("violations"), "");
}

TEST(Exclusion, IsByKey) {
  const Server server;
  const Notes notes;
  const std::vector<std::string> environment{"REDIS_URL=" + server.url(), notes.variable()};
  const auto holder = start_redismutex(
      {"run", "k", "sh", "-c", "echo x > $DIR/inside; until [ -e $DIR/end ]; do sleep 0.01; done"}, environment);
  ASSERT_TRUE(notes.appears("inside"));
  EXPECT_EQ(redismutex({"run", "-n", "k", "true"}, environment).status, exited(75));
  EXPECT_EQ(redismutex({"run", "-n", "other", "true"}, environment).status, exited(0));
  const auto waiter = start_redismutex({"run", "-w", "20", "k", "true"}, environment);
  notes.write("end");
  EXPECT_EQ(holder.wait(limit), exited(0));
  EXPECT_EQ(waiter.wait(limit), exited(0));
}

}  // namespace
}  // namespace redismutex::testing
