#pragma once

#include <chrono>
#include <string>

#include "histories/history.hpp"
#include "support/posix.hpp"

namespace redismutex::faults {

/// What one process writes down, an event a line, each with one write(2): whoever is killed leaves whole lines. Thread-safe.
class Diary {
 public:
  /// `epoch`: of CLOCK_BOOTTIME, from which the run's times count. Throws std::system_error.
  Diary(const std::string& path, std::chrono::nanoseconds epoch);

  /// Since the epoch.
  std::chrono::nanoseconds now() const noexcept;

  void note(const histories::Event& event) const;

 private:
  std::chrono::nanoseconds epoch_;
  testing::Descriptor file_;
};

/// CLOCK_BOOTTIME.
std::chrono::nanoseconds boot_time() noexcept;

/// What is in the file. A last line that is not whole is left out.
histories::History read_diary(const std::string& path);

/// Threads of one process pass a lock on under one id, which the workers note as "id+turn". The first of each such chain gets
/// the bare id, as the checker expects it.
void name_chains(histories::History& history);

}  // namespace redismutex::faults
