#include "api/scan_pace.hpp"

#include <algorithm>

namespace redismutex::api {

ScanPace::ScanPace(std::size_t most, Duration trip)
    : most_{most},
      trip_{trip},
      measures_{trip <= longest_trip},
      count_{std::min(most, measures_ ? fewest : unmeasured)} {}

void ScanPace::note(Duration took) {
  if (!measures_) return;
  const Duration busy = took - trip_;
  // Halved at once, and raised in small steps: a process that had to wait for a processor looks like a slow server, too, and is
  // forgotten after three steps.
  if (busy > target) {
    count_ = std::max(count_ / 2, std::min(fewest, most_));
  } else if (busy < target * 3 / 4) {
    count_ = std::min(count_ + count_ / 4 + 1, most_);
  }
}

}  // namespace redismutex::api
