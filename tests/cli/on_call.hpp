#pragma once

#include <gtest/gtest.h>

#include <redismutex/operate.hpp>
#include <redismutex/redismutex.hpp>
#include <string>
#include <vector>

#include "command.hpp"
#include "support/server.hpp"

namespace redismutex::testing {

/// What the subcommands that look at locks are tried with: a server, a program that holds, and ones that wait.
class OnCall {
 public:
  Result run(std::vector<std::string> words) { return redismutex(words, {"REDIS_URL=" + server.url()}); }

  /// The words of `status`, and what it takes for it to find the processes: servers before Redis 6.2 tell of all connections or of none.
  std::vector<std::string> with_processes(std::vector<std::string> words) {
    if (server.version() < Version{6, 2, 0}) words.emplace_back("--deep");
    return words;
  }

  /// A `redismutex run` that is inside. Its COMMAND notes in $DIR/told when it is asked to end; what it starts for that is asked, too.
  ChildProcess holder(const std::string& key) {
    auto process =
        start({"run", key, "sh", "-c",
               "trap 'trap \"\" TERM; date +%s%N >$DIR/told; exit 1' TERM; echo x >$DIR/inside; sleep 60 & wait"});
    EXPECT_TRUE(notes.appears("inside"));
    return process;
  }

  /// One that waits, and notes the time in $DIR/next when it is inside. Returns when it stands in line.
  ChildProcess waiter(const std::string& key) {
    const auto before = waiting(key);
    auto process = start({"run", key, "sh", "-c", "date +%s%N >$DIR/next"});
    EXPECT_TRUE(eventually(limit, [&] { return waiting(key) > before; }));
    return process;
  }

  std::size_t waiting(const std::string& key) { return inspect(connection, key).waiting; }

  ChildProcess start(const std::vector<std::string>& words) {
    return start_redismutex(words, {"REDIS_URL=" + server.url(), notes.variable()});
  }

  Notes notes;
  Server server{{.tcp = true}};
  Connection connection{server.url()};
};

}  // namespace redismutex::testing
