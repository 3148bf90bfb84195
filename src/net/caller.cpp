#include "net/caller.hpp"

#include "net/futex.hpp"
#include "net/link.hpp"

namespace redismutex::net {

std::optional<ParkingLot::Sleeping> Caller::tell(std::uint32_t what) noexcept {
  const std::atomic<std::uint32_t>* const apart = is_apart_ ? &word_ : nullptr;
  // An addition for the count, in which nothing else can carry; else the bits.
  const std::uint32_t before = what == one_over ? word_.fetch_add(what) : word_.fetch_or(what);
  if ((before & asleep) == 0) return std::nullopt;
  return ParkingLot::Sleeping{.spot = (before >> spot_shift) % ParkingLot::spots, .apart = apart};
}

void Caller::sleep(ParkingLot& lot, std::uint32_t calls, std::uint32_t bits, Deadline limit) noexcept {
  while (park(lot, calls, bits, limit)) continue;
  clear(asleep);
}

/// False: there is a reason to wake.
bool Caller::park(ParkingLot& lot, std::uint32_t calls, std::uint32_t bits, Deadline limit) noexcept {
  const ParkingLot::Spot spot = (word_.load(std::memory_order_relaxed) >> spot_shift) % ParkingLot::spots;
  // In this order: whoever tells it something changes the word first, and the generation of the spot afterwards.
  const std::uint32_t generation = lot.generation(spot);
  const std::uint32_t seen = word_.fetch_or(asleep) | asleep;
  if ((seen & bits) != 0 || seen >> count_shift >= calls) return false;
  return is_apart_ ? futex_wait(word_, seen, limit) : lot.park(spot, generation, limit);
}

BlockingCall::~BlockingCall() {
  if (caller_.link_ != nullptr) caller_.link_->leave(caller_);
}

}  // namespace redismutex::net
