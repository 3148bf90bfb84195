#pragma once

#include <atomic>
#include <cstdint>

#include "net/poll.hpp"

namespace redismutex::net {

/// Something that a thread waits for at a Link: see Call for replies; plain Events are set by whoever handles a push.
/// Lives where the waiting thread keeps it, and may go as soon as Link::wait has returned. One thread waits for it.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

 private:
  friend class Link;

  /// Why its thread should look up, or that it sleeps: bits of one word, which is what it sleeps on. (See futex.hpp; what
  /// this saves over a mutex and a condition variable is that who wakes it must not hold a lock until it is awake.)
  enum State : std::uint32_t {
    was_set = 1,
    was_stopped = 2,
    leads = 4,  // was handed the reading
    link_broken = 8,
    nobody_reads = 16,  // for Link::attend: the reading is free
    asleep = 32,
  };

  bool is_set() const noexcept { return has(was_set); }
  bool is_stopped() const noexcept { return has(was_stopped); }
  bool has(std::uint32_t bits) const noexcept { return (state_.load(std::memory_order_acquire) & bits) != 0; }

  /// For its thread: forgets the bits, and says which of them were there.
  std::uint32_t take(std::uint32_t bits) noexcept { return state_.fetch_and(~bits) & bits; }

  /// For any thread. With was_set it is the last that this thread may do to the event: the other may return with it.
  void wake(State why) noexcept;

  /// Sleeps until there is a reason not to, or the deadline passes.
  void sleep(Deadline deadline) noexcept;

  /// Sleeps until it is set, which is about to be done.
  void await_set() noexcept;

  std::atomic<std::uint32_t> state_{0};

  // Its place among those who sleep at the link; guarded by the link's mutex.
  Event* previous_ = nullptr;
  Event* next_ = nullptr;
  bool in_line_ = false;
  bool off_the_line_ = false;  // for ever: it is set, or about to be

  // How many bytes the link must have sent before there can be an answer.
  std::uint64_t ends_at_ = 0;
};

}  // namespace redismutex::net
