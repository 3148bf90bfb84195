#pragma once

#include <signal.h>

namespace redismutex::cli {

/// While this lives, Ctrl-C is noted; a second one ends this process. There is one of these at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const noexcept;

 private:
  struct sigaction before_ {};
};

}  // namespace redismutex::cli
