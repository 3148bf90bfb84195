#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "net/parking_lot.hpp"
#include "net/poll.hpp"

namespace redismutex::net {

/// Something that a thread waits for at a Link: see Call for replies; plain Events are set by whoever handles a push.
/// Lives where the waiting thread keeps it, and may go as soon as Link::wait has returned. One thread waits for it.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

 protected:
  bool is_set() const noexcept { return has(was_set); }

 private:
  friend class Link;

  /// Why its thread should look up, or that it sleeps: bits of one word. Above them stands where it sleeps.
  enum State : std::uint32_t {
    was_set = 1,
    was_stopped = 2,
    leads = 4,  // was handed the reading
    link_broken = 8,
    nobody_reads = 16,  // for Link::attend: the reading is free
    reasons = was_set | was_stopped | leads | link_broken | nobody_reads,
    asleep = 32,
    has_spot = 64,
  };
  static constexpr unsigned spot_shift = 7;
  static_assert(ParkingLot::spots <= std::uint32_t{1} << (32 - spot_shift));

  bool is_stopped() const noexcept { return has(was_stopped); }
  bool has(std::uint32_t bits) const noexcept { return (state_.load(std::memory_order_acquire) & bits) != 0; }

  /// For its thread: forgets the bits, and says which of them were there.
  std::uint32_t take(std::uint32_t bits) noexcept { return state_.fetch_and(~bits) & bits; }

  /// Before its thread first sleeps, with the link's mutex held.
  void assign_spot(ParkingLot& lot) noexcept;

  /// For any thread: tells the reason. Returns whom to wake at the lot, if the thread sleeps. With was_set it is the last
  /// that may be done to the event: the other may return with it.
  std::optional<ParkingLot::Spot> note(State why) noexcept;

  /// The same, and wakes.
  void wake(State why, ParkingLot& lot) noexcept;

  /// Sleeps until there is a reason not to, one of these, or the deadline passes.
  void sleep(ParkingLot& lot, Deadline deadline, std::uint32_t until = reasons) noexcept;

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
