#include "metrics/waits.hpp"

#include <algorithm>

namespace redismutex::metrics {

void Waits::begin(const void* attempt, std::string_view mutex, Clock::time_point now) {
  const std::lock_guard lock{mutex_};
  const auto [place, is_new] = waits_.try_emplace(attempt);
  if (is_new) {
    place->second = Wait{.mutex = std::string{mutex}, .since = now};
  } else {
    waits_.erase(place);
  }
}

void Waits::end(const void* attempt) {
  const std::lock_guard lock{mutex_};
  const auto [place, is_new] = waits_.try_emplace(attempt);
  if (!is_new) waits_.erase(place);
}

std::map<std::string, Waits::Summary, std::less<>> Waits::summaries(Clock::time_point now) const {
  std::map<std::string, Summary, std::less<>> summaries;
  const std::lock_guard lock{mutex_};
  for (const auto& [attempt, wait] : waits_) {
    if (!wait) continue;
    Summary& summary = summaries[wait->mutex];
    ++summary.number;
    summary.oldest = std::max(summary.oldest, now - wait->since);
  }
  return summaries;
}

}  // namespace redismutex::metrics
