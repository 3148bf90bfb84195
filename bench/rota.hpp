#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <semaphore>
#include <vector>

#include "turns.hpp"

namespace redismutex::bench {

/// Has some of the threads of a process take part at a time: who had a turn stays away until each of the others had one. How
/// many they are changes every `each_for`.
class Rota {
 public:
  static constexpr Nanoseconds each_for = 1'500'000'000;

  /// So many of all take part, one number after another, and again from the first.
  Rota(std::size_t threads, std::vector<int> numbers, Nanoseconds start);

  void wait_for_place(std::size_t thread);
  void give_place_up();

  /// For the end: nobody waits any more.
  void dismiss();

 private:
  int wanted() const;
  void admit_next();

  std::vector<int> numbers_;
  Nanoseconds start_;
  std::mutex mutex_;                              // guards what follows
  std::deque<std::counting_semaphore<>> places_;  // of each thread: how many it has
  std::size_t next_ = 0;                          // who gets one next
  int admitted_ = 0;
};

}  // namespace redismutex::bench
