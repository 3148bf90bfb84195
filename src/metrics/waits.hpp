#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace redismutex::metrics {

/// Who waits now, and for how long. Thread-safe.
class Waits {
 public:
  using Clock = std::chrono::steady_clock;

  /// Those of one mutex.
  struct Summary {
    std::size_t number = 0;
    Clock::duration oldest{};
  };

  void begin(const void* attempt, std::string_view mutex, Clock::time_point now);

  /// May come before begin(): where nobody's thread waits, threads of the library's tell of both.
  void end(const void* attempt);

  /// Only of mutexes for which somebody waits.
  std::map<std::string, Summary, std::less<>> summaries(Clock::time_point now) const;

 private:
  struct Wait {
    std::string mutex;
    Clock::time_point since;
  };

  mutable std::mutex mutex_;
  std::unordered_map<const void*, std::optional<Wait>>
      waits_;  // none: it has ended, and its beginning is still to come
};

}  // namespace redismutex::metrics
