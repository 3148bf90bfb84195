#pragma once

#include <sys/eventfd.h>

#include <cstdint>

#include "descriptor.hpp"

namespace redismutex::cli {

/// Something that happens once and that a poll() in another thread can wait for.
class Event {
 public:
  Event() : descriptor_{checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")} {}

  /// Thread-safe; repeating it changes nothing.
  void raise() noexcept {
    const std::uint64_t one = 1;
    // The only failure there can be is a full counter, and then it is raised already.
    [[maybe_unused]] const auto written = ::write(descriptor_.get(), &one, sizeof one);
  }

  /// Readable from the moment it was raised on.
  int descriptor() const noexcept { return descriptor_.get(); }

 private:
  Descriptor descriptor_;
};

}  // namespace redismutex::cli
