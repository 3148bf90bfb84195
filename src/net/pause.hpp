#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>

#include "net/poll.hpp"

namespace redismutex::net {

/// How long to wait before the next attempt. `failures`: how many there were in a row before the last one. Doubles with
/// each of them from `first` on, up to `longest`, and is drawn at random from the upper three quarters of that, so that
/// those who failed together do not all come back in the same instant.
std::chrono::microseconds jittered_pause(unsigned failures, std::chrono::microseconds first,
                                         std::chrono::microseconds longest);

/// The same, drawn by the caller.
std::chrono::microseconds jittered_pause(unsigned failures, std::chrono::microseconds first,
                                         std::chrono::microseconds longest, std::uint64_t random_bits);

/// Sleeps until then, with nothing held that others need. False: the stop_token fired first.
bool pause_until(Deadline until, const std::stop_token& stop);

}  // namespace redismutex::net
