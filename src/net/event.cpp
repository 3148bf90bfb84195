#include "net/event.hpp"

namespace redismutex::net {

void Event::assign_spot(ParkingLot& lot) noexcept {
  if (!has(has_spot)) state_.fetch_or(lot.assign() << spot_shift | has_spot);
}

std::optional<ParkingLot::Spot> Event::note(State why) noexcept {
  const std::uint32_t before = state_.fetch_or(why);
  return (before & asleep) != 0 ? std::optional{before >> spot_shift} : std::nullopt;
}

void Event::wake(State why, ParkingLot& lot) noexcept {
  if (const auto spot = note(why)) lot.unpark(*spot);
}

void Event::sleep(ParkingLot& lot, Deadline deadline, std::uint32_t until) noexcept {
  const ParkingLot::Spot spot = state_.load(std::memory_order_relaxed) >> spot_shift;
  for (;;) {
    const std::uint32_t generation = lot.generation(spot);
    std::uint32_t seen = state_.load();
    if ((seen & until) != 0) return;
    if ((seen & asleep) == 0 && !state_.compare_exchange_strong(seen, seen | asleep)) continue;
    if (!lot.park(spot, generation, deadline)) return;
  }
}

}  // namespace redismutex::net
