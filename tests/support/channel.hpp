#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/memory_file.hpp"

namespace redismutex::testing {

/// Lines from any number of processes or threads to one reader. Make it before the fork:
///
///     Channel events;
///     ChildProcess child{[&] { auto lock = mutex.acquire_lock("k"); events.send("inside"); ... }};
///     ASSERT_EQ(events.receive(5s), "inside");
///
/// Sending never blocks, however much is unread. Lines stay after their sender's death.
class Channel {
 public:
  /// Thread- and fork-safe. A line must not contain '\n'.
  void send(std::string_view line) const;

  /// The next line, or nothing if none comes within `limit`. One reader at a time; a child forked later starts with
  /// the lines that its parent had not read.
  std::optional<std::string> receive(std::chrono::milliseconds limit);

  /// All unread lines there are, without waiting.
  std::vector<std::string> drain();

 private:
  MemoryFile file_;
  std::size_t read_ = 0;
};

}  // namespace redismutex::testing
