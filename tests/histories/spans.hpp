#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace redismutex::histories {

/// Since the history began.
using Time = std::chrono::nanoseconds;

/// A time that does not come.
constexpr Time never = Time::max();

/// A stretch of time.
struct Span {
  std::chrono::nanoseconds from{0};
  std::chrono::nanoseconds to{0};
};

/// Many of them, for one question.
class Spans {
 public:
  void add(Span span) { all_.push_back(span); }
  bool empty() const noexcept { return all_.empty(); }
  Span& last() { return all_.back(); }

  /// To be called between the last add() and the first touch().
  void sort() {
    std::sort(all_.begin(), all_.end(), [](const Span& a, const Span& b) { return a.from < b.from; });
    for (std::size_t i = 1; i < all_.size(); ++i) all_[i].to = std::max(all_[i].to, all_[i - 1].to);
  }

  /// Whether one of them has a moment with this one in common, the ends included.
  bool touch(std::chrono::nanoseconds from, std::chrono::nanoseconds to) const {
    const auto after = std::upper_bound(all_.begin(), all_.end(), to,
                                        [](std::chrono::nanoseconds end, const Span& span) { return end < span.from; });
    // Since sort(), each one's end is the latest of its own and of all before it.
    return after != all_.begin() && std::prev(after)->to >= from;
  }

  /// The first time from when on none of them is touched for `length`; never, if there is none.
  std::chrono::nanoseconds gap_after(std::chrono::nanoseconds time, std::chrono::nanoseconds length) const {
    for (const Span& span : all_) {
      if (span.to < time) continue;
      if (span.from - length > time) break;
      if (span.to == never) return never;
      time = span.to + std::chrono::nanoseconds{1};
    }
    return time;
  }

 private:
  std::vector<Span> all_;
};

}  // namespace redismutex::histories
