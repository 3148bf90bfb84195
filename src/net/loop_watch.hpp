#pragma once

#include <cstdint>

namespace redismutex::net {

/// An event loop of the program that watches the socket of one Link, see there. Is called with the Link's lock held, and calls nothing back
/// itself.
class LoopWatch {
 public:
  LoopWatch() = default;
  LoopWatch(const LoopWatch&) = delete;
  LoopWatch& operator=(const LoopWatch&) = delete;
  virtual ~LoopWatch() = default;

  /// The loop is to call Link::read_in_loop() with this number, once, when something is there to be read. False: it does not, because none of its
  /// operations is under way, or it has ended.
  virtual bool arm(std::uint64_t number) noexcept = 0;

  /// The loop does not know the socket any more. A call may be on its way.
  virtual void disarm() noexcept = 0;
};

}  // namespace redismutex::net
