#pragma once

#include <chrono>
#include <cstddef>
#include <redismutex/operate.hpp>
#include <string>

namespace redismutex::cli {

/// "1,002,200".
std::string grouped(std::size_t number);

/// "34 % of 1,002,200 keys".
std::string progress_text(const ScanProgress& progress);

/// How far a scan is, in a line of standard error that is written anew: on a terminal, after a second.
class ProgressLine {
 public:
  ProgressLine();

  void show(const ScanProgress& progress);
  void clear();

 private:
  const bool on_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point next_ = began_ + std::chrono::seconds{1};
  bool is_shown_ = false;
};

}  // namespace redismutex::cli
