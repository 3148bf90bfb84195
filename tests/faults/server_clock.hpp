#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace redismutex::faults {

/// The wall clock of a server that was started with environment(): set off from the system's.
class ServerClock {
 public:
  /// `path`: of a file to share with the server. Throws std::system_error.
  explicit ServerClock(const std::string& path);
  ServerClock(const ServerClock&) = delete;
  ServerClock& operator=(const ServerClock&) = delete;
  ~ServerClock();

  std::vector<std::string> environment() const;

  std::chrono::microseconds offset() const noexcept { return std::chrono::microseconds{*offset_us_}; }
  void set_offset(std::chrono::microseconds offset) noexcept { *offset_us_ = offset.count(); }

 private:
  std::string path_;
  std::atomic<std::int64_t>* offset_us_;
};

}  // namespace redismutex::faults
