#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "route/environment.hpp"
#include "route/list.hpp"
#include "route/waker.hpp"

namespace redismutex::route {

/// Lets few of many ask one server at once, and each of the others when one of these is through, in the order in which they came. For those
/// who all have to ask in the same moment, as after a reconnection: an answer to the last of ten thousand could take longer than a connection
/// waits for one, and would break the next connection, too. Thread-safe.
///
/// Its mutex comes before those of wakers.
class Throttle final {
 public:
  static constexpr std::size_t most = 64;

  /// One that wants to ask. It has its place, or its turn, until it is destroyed. For one thread at a time. A child of fork() leaves the queue as
  /// it is.
  class Entry final : private Listed<Entry> {
   public:
    /// `waker` is called, with a lock held, when its turn has come, unless that was at once. Both must outlive it.
    Entry(Throttle& throttle, Waker& waker) noexcept : throttle_{throttle}, waker_{waker} { throttle_.enter(*this); }
    ~Entry() {
      if (fork_generation_ == fork_generation()) throttle_.leave(*this);
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    bool may_ask() const { return throttle_.has_turn(*this); }
    bool is_of(const Throttle& throttle) const noexcept { return &throttle == &throttle_; }

   private:
    friend class Throttle;
    friend class List<Entry>;

    Throttle& throttle_;
    Waker& waker_;
    const std::uint64_t fork_generation_ = fork_generation();
    bool has_turn_ = false;  // guarded by the throttle's mutex
  };

 private:
  void enter(Entry& entry) noexcept {
    const std::lock_guard lock{mutex_};
    if (asking_ < most) {
      ++asking_;
      entry.has_turn_ = true;
    } else {
      waiting_.append(entry);
    }
  }

  bool has_turn(const Entry& entry) {
    const std::lock_guard lock{mutex_};
    return entry.has_turn_;
  }

  void leave(Entry& entry) noexcept {
    const std::lock_guard lock{mutex_};
    waiting_.remove(entry);
    if (!entry.has_turn_) return;
    Entry* const next = waiting_.first();
    if (next == nullptr) {
      --asking_;
      return;
    }
    waiting_.remove(*next);
    next->has_turn_ = true;
    next->waker_.wake();
  }

  std::mutex mutex_;  // guards the rest
  List<Entry> waiting_;
  std::size_t asking_ = 0;
};

}  // namespace redismutex::route
