#pragma once

#include <chrono>
#include <iosfwd>
#include <string>
#include <vector>

#include "histories/history.hpp"

namespace redismutex::histories {

/// How long things may take for clients that nothing disturbed.
struct Bounds {
  std::chrono::nanoseconds message;  ///< from one end of a connection to the other, and until somebody reads it
  std::chrono::nanoseconds news;     ///< until somebody who gets the lock on the server knows it
  std::chrono::nanoseconds idle;     ///< for how long a lock is free although somebody waits for it
  std::chrono::nanoseconds delay;    ///< how often waiters look by themselves
  std::chrono::nanoseconds claim;    ///< what a waiter that was handed a lock has to show up
  std::chrono::nanoseconds lease;    ///< that a lock is taken with
  std::chrono::nanoseconds expiry;   ///< the longest lease that anybody asks for
  int waiters;                       ///< how many may be in line
  std::chrono::nanoseconds row =
      std::chrono::milliseconds{20};  ///< of passes, while others are known to wait at the server
  std::chrono::nanoseconds news_of_others =
      std::chrono::milliseconds{20};                               ///< until it is known in the process that they wait
  std::chrono::nanoseconds timers = std::chrono::milliseconds{2};  ///< how late a timer may be
  std::chrono::nanoseconds confirms =
      std::chrono::milliseconds{100};  ///< when it makes that the full lease, if it is inside

  /// Whether the time for which nobody is inside although somebody wants to be is bounded: the lease, and for each fault the
  /// claim and the fault's own length.
  bool gaps = false;
  bool watches = true;       ///< whether the first in line is told of changes of the key
  bool tidy = true;          ///< whether nobody else puts anything into the line
  bool tells_first = false;  ///< whether a waiter that wants to know is told that it is the first now
};

struct Violation {
  std::chrono::nanoseconds time{0};
  std::string text;
};
std::ostream& operator<<(std::ostream& out, const Violation& violation);

struct Verdict {
  std::vector<Violation> violations;  ///< in order of time
  std::size_t acquired = 0;           ///< how many were inside
  std::size_t waited = 0;             ///< how many of them after a time in the queue

  /// The longest time for which nobody was inside although somebody wanted to be, less the length of the faults then; if the
  /// bounds say that it is to be looked for.
  std::chrono::nanoseconds longest_gap{0};
};

/// Reads what happened, and says what should not have; in O(n log n). The events may come in any order. Histories of clients
/// only, without the server's side, are checked for what can be known from them.
Verdict check(History history, const Bounds& bounds);

}  // namespace redismutex::histories
