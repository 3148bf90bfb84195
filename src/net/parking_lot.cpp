#include "net/parking_lot.hpp"

#include "net/futex.hpp"

namespace redismutex::net {

bool ParkingLot::park(Spot spot, std::uint32_t generation, Deadline deadline) noexcept {
  return futex_wait(word(spot), generation, deadline, bit_of(spot));
}

void ParkingLot::unpark(const Sleeping& thread) noexcept {
  if (thread.apart != nullptr) return futex_wake_one(thread.apart);
  wake(thread.spot / word_size, bit_of(thread.spot));
}

void ParkingLot::wake(Spot word, std::uint32_t bits) noexcept {
  words_[word].fetch_add(1, std::memory_order_release);
  futex_wake_all(&words_[word], bits);
}

void ParkingLot::Wakeups::add(const Sleeping& thread) noexcept {
  if (thread.apart != nullptr) return futex_wake_one(thread.apart);
  const Spot spot = thread.spot;
  if (spot / word_size != word_) {
    wake();
    word_ = spot / word_size;
  }
  bits_ |= bit_of(spot);
}

void ParkingLot::Wakeups::wake() noexcept {
  if (bits_ != 0) lot_.wake(word_, bits_);
  bits_ = 0;
}

}  // namespace redismutex::net
