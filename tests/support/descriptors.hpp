#pragma once

#include <chrono>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>

#include "support/eventually.hpp"
#include "support/sanitizers.hpp"

namespace redismutex::testing {

inline long entries_of(const std::string& directory) {
  return std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator());
}

/// How many file descriptors this process has open: compare before and after to find a leak.
inline long open_descriptors() { return entries_of("/proc/self/fd") - 1; }  // one was open for looking

/// How many threads this process has.
inline long thread_count() { return entries_of("/proc/self/task"); }

/// How many it has before a test, if all threads of earlier ones have ended: for a moment after its join, the kernel still
/// counts a thread.
inline long thread_count_at_rest() {
  std::thread{[] {}}.join();  // with the first one the thread sanitizer starts one of its own
  constexpr long at_rest = under_thread_sanitizer ? 2 : 1;
  eventually(std::chrono::seconds{1}, [] { return thread_count() <= at_rest; });
  return thread_count();
}

}  // namespace redismutex::testing
