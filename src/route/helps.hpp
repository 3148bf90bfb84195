#pragma once

#include <cstdint>

#include "route/background.hpp"

namespace redismutex::route {

class Workroom;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

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

/// For one that may wait, such as users' code that blocks in a completion: as long as this is there its thread does not help, and what it
/// has woken so far is the reactor's.
class HelpPause {
 public:
  HelpPause() noexcept;
  HelpPause(const HelpPause&) = delete;
  HelpPause& operator=(const HelpPause&) = delete;
  ~HelpPause();

 private:
  Workroom* const helped_;
  const std::uint64_t generation_;  // in a child of fork() it goes on with nothing
};

/// As long as it is there its thread makes a round, for which others wait: it must not run what may take its time.
class InRound {
 public:
  InRound() noexcept;
  InRound(const InRound&) = delete;
  InRound& operator=(const InRound&) = delete;
  ~InRound();

  /// Whether this thread does.
  static bool is_here() noexcept;
};

}  // namespace redismutex::route
