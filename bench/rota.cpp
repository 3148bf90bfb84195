#include "rota.hpp"

#include <utility>

namespace redismutex::bench {

Rota::Rota(std::size_t threads, std::vector<int> numbers, Nanoseconds start)
    : numbers_{std::move(numbers)}, start_{start} {
  for (std::size_t i = 0; i < threads; ++i) places_.emplace_back(0);
  while (admitted_ < numbers_.front()) admit_next();
}

void Rota::wait_for_place(std::size_t thread) { places_[thread].acquire(); }

void Rota::give_place_up() {
  const std::lock_guard lock{mutex_};
  --admitted_;
  while (admitted_ < wanted()) admit_next();
}

void Rota::dismiss() {
  for (auto& place : places_) place.release();
}

int Rota::wanted() const {
  const auto periods = static_cast<std::size_t>((monotonic_now() - start_) / each_for);
  return numbers_[periods % numbers_.size()];
}

void Rota::admit_next() {
  ++admitted_;
  places_[next_++ % places_.size()].release();
}

}  // namespace redismutex::bench
