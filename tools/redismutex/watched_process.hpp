#pragma once

#include <sys/types.h>

#include <string_view>

#include "descriptor.hpp"

namespace redismutex::cli {

/// A process that is not our child. It stays the same one, also when its number is given to another.
class WatchedProcess {
 public:
  /// Throws std::invalid_argument if there is no such process, or it is not ours to end.
  explicit WatchedProcess(pid_t number);

  /// Readable from its end on.
  int descriptor() const noexcept { return descriptor_.get(); }

  bool has_ended() const noexcept;

  void send(int signal) const noexcept;

  /// One line to its standard error, if we may reach that.
  void tell(std::string_view text) const noexcept;

 private:
  Descriptor descriptor_;
};

}  // namespace redismutex::cli
