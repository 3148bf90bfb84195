#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace redismutex::testing {

/// How often a thread of this process has gone to sleep by itself; 0 if it has ended.
inline long voluntary_switches(pid_t thread) {
  std::ifstream file{"/proc/self/task/" + std::to_string(thread) + "/status"};
  std::string word;
  long count = 0;
  while (file >> word) {
    if (word == "voluntary_ctxt_switches:") file >> count;
  }
  return count;
}

/// The same of all threads but the one that asks.
inline long voluntary_switches_of_others() {
  long count = 0;
  for (const auto& thread : std::filesystem::directory_iterator{"/proc/self/task"}) {
    const pid_t id = std::stoi(thread.path().filename().string());
    if (id != ::gettid()) count += voluntary_switches(id);
  }
  return count;
}

}  // namespace redismutex::testing
