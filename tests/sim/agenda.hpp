#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace redismutex::sim {

/// Since the beginning of the simulation. Clients and the server each see it through a clock of their own.
using Time = std::chrono::nanoseconds;

constexpr Time never = Time::max();

/// Virtual time: what is to happen, in order. Of two things at the same time the one planned first comes first.
class Agenda {
 public:
  using Work = std::function<void()>;

  Time now() const noexcept { return now_; }

  void at(Time due, Work work) { entries_.push({due < now_ ? now_ : due, ++planned_, std::move(work)}); }
  void after(Time delay, Work work) { at(now_ + delay, std::move(work)); }

  /// Does all until then.
  void advance(Time to) {
    while (step(to)) {
    }
    now_ = to;
  }

  /// Does the next thing. False if there is none before `end`.
  bool step(Time end = never) {
    if (entries_.empty() || entries_.top().due > end) return false;
    // The entry goes before its work is done, which may add others.
    Entry entry = std::move(const_cast<Entry&>(entries_.top()));
    entries_.pop();
    now_ = entry.due;
    entry.work();
    return true;
  }

 private:
  struct Entry {
    Time due;
    std::uint64_t order;
    Work work;
    bool operator<(const Entry& other) const noexcept {
      return due != other.due ? due > other.due : order > other.order;
    }
  };

  Time now_{0};
  std::uint64_t planned_ = 0;
  std::priority_queue<Entry> entries_;
};

}  // namespace redismutex::sim
