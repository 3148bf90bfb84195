#include "net/faster_way.hpp"

#include <algorithm>

namespace redismutex::net {

void FasterWay::note(Clock::duration took) noexcept {
  if (took > longest) return;
  took_.at(turn_ % times) = took;
  count();
  if (turn_ % times != 0) return;
  auto* const middle = took_.begin() + times / 2;
  std::nth_element(took_.begin(), middle, took_.end());
  if (turn_ == times) {
    first_took_ = *middle;
  } else {
    first_is_faster_ = first_took_ < *middle;
  }
}

}  // namespace redismutex::net
