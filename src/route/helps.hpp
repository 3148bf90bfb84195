#pragma once

#include "route/background.hpp"

namespace redismutex::route {

/// As long as it is there, its thread does what wakes operations, or reads their answers; and then it goes on itself with those, see
/// Background::begin_help().
class Helps {
 public:
  explicit Helps(Background& background) noexcept : background_{background} { background_.begin_help(); }
  Helps(const Helps&) = delete;
  Helps& operator=(const Helps&) = delete;
  ~Helps() { background_.end_help(); }

 private:
  Background& background_;
};

}  // namespace redismutex::route
