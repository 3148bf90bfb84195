#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "net/call.hpp"
#include "net/list.hpp"
#include "net/parking_lot.hpp"
#include "net/poll.hpp"

namespace redismutex::net {

class BlockingCall;
class Link;

/// A thread's stay at a Link: it waits for the answers to its calls (see BlockingCall), or, without calls, until Link::set().
/// Lives where the thread keeps it, longer than its calls. For one thread, and one Link at a time.
class Caller : private Listed<Caller> {
 public:
  Caller() = default;

  /// For one without calls, which may be one of very many, and sleep for long: it sleeps apart from the lot. So nobody who is woken wakes
  /// it, too.
  struct Apart {};
  explicit Caller(Apart /*tag*/) noexcept : is_apart_{true} {}
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  ~Caller() = default;

 private:
  friend class BlockingCall;
  friend class Link;
  friend class List<Caller>;

  // One word tells the thread all that others have to say to it: these bits, where it sleeps, and how many of its calls are over.
  enum Bit : std::uint32_t {
    was_set = 1,
    was_stopped = 2,  // by its stop_token
    leads = 4,        // the reading of the link is its own
    link_broken = 8,  // there is nothing more to wait for
    asleep = 16,
  };
  static constexpr unsigned spot_shift = 5;
  static constexpr unsigned count_shift = 16;
  static constexpr std::uint32_t one_over = std::uint32_t{1} << count_shift;
  static_assert(ParkingLot::spots <= std::uint32_t{1} << (count_shift - spot_shift));

  bool has(std::uint32_t bits) const noexcept { return (word_.load(std::memory_order_acquire) & bits) != 0; }
  bool are_over(std::uint32_t calls) const noexcept {
    return word_.load(std::memory_order_acquire) >> count_shift >= calls;
  }
  void clear(std::uint32_t bits) noexcept { word_.fetch_and(~bits, std::memory_order_acq_rel); }

  /// Tells the thread: bits, or one_over. Returns where to wake it, if it sleeps. After the last of its calls is over the
  /// thread may be gone at once.
  std::optional<ParkingLot::Sleeping> tell(std::uint32_t what) noexcept;

  /// Sleeps until so many of its calls are over, one of the bits is there, or the limit passes.
  void sleep(ParkingLot& lot, std::uint32_t calls, std::uint32_t bits, Deadline limit) noexcept;

  bool park(ParkingLot& lot, std::uint32_t calls, std::uint32_t bits, Deadline limit) noexcept;

  const bool is_apart_ = false;
  std::atomic<std::uint32_t> word_{0};

  // These belong to the thread.
  Link* link_ = nullptr;           // at which it is
  BlockingCall* calls_ = nullptr;  // that it has submitted, the last one first
  std::uint32_t submitted_ = 0;    // how many
  Deadline overdue_at_{};          // when the answer to the last one is
  bool has_spot_ = false;

  // Guarded by the link's mutex, as is its place among the sleepers.
  std::uint32_t in_flight_ = 0;  // of its calls
};

/// A call whose thread sleeps until it is over: see Link::wait. Its thread may let it go at any time, which withdraws it.
class BlockingCall final : public Call {
 public:
  explicit BlockingCall(Caller& caller) noexcept : Call{Blocking{}}, caller_{caller} {}
  BlockingCall(const BlockingCall&) = delete;
  BlockingCall& operator=(const BlockingCall&) = delete;
  ~BlockingCall();

 private:
  friend class Link;

  Caller& caller_;
  BlockingCall* earlier_ = nullptr;  // of the same caller
  std::uint32_t number_ = 0;         // among the caller's calls
};

}  // namespace redismutex::net
