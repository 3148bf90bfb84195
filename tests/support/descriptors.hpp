#pragma once

#include <filesystem>
#include <iterator>
#include <string>

namespace redismutex::testing {

inline long entries_of(const std::string& directory) {
  return std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator());
}

/// How many file descriptors this process has open: compare before and after to find a leak.
inline long open_descriptors() { return entries_of("/proc/self/fd") - 1; }  // one was open for looking

/// How many threads this process has.
inline long thread_count() { return entries_of("/proc/self/task"); }

}  // namespace redismutex::testing
