#pragma once

#include <sys/types.h>

#include <chrono>
#include <redismutex/lock.hpp>
#include <string>
#include <vector>

#include "support/process.hpp"

namespace redismutex::bench {

/// Processor time of a process so far. Throws std::runtime_error if there is none.
std::chrono::nanoseconds cpu_time_of(pid_t process);

/// Threads of another process that wait over one connection, each for a lock of its own. All these locks are held here. That process
/// is killed with this object.
class Waiters {
 public:
  /// Returns when all have begun to wait: as many as are wanted, or as the machine bears. Each looks at the server by itself every
  /// `delay`. There must be no Connection in this process so far: it forks.
  Waiters(const std::string& url, int wanted, std::chrono::milliseconds delay);
  ~Waiters();
  Waiters(const Waiters&) = delete;
  Waiters& operator=(const Waiters&) = delete;

  int count() const noexcept;
  pid_t process() const { return process_.pid(); }

  /// Gives the lock of one of them back, and returns when that one has it.
  void grant(int number);

  /// Until their process has next to nothing to do. Those with a short `delay` always have.
  void wait_until_quiet() const;

 private:
  struct Board;

  template <class Condition>
  void wait_until(const char* what, Condition condition) const;

  static Board& shared_board();
  static int wait_in_threads(Board& board, const std::string& url, int threads, std::chrono::milliseconds delay);
  class Crowd;

  Board& board_;
  const testing::ChildProcess process_;
  std::vector<Lock> held_;
};

}  // namespace redismutex::bench
