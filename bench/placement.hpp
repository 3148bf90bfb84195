#pragma once

#include <sched.h>
#include <sys/types.h>

namespace redismutex::bench {

/// Which processors a server and its clients run on.
///
/// On a virtual machine it may take three to five times as long to wake somebody on another processor, which sleeps, as on the
/// own one. Left to themselves, processes are put here and there, from run to run in another way.
enum class Placement {
  anywhere,
  together,  ///< on one processor
  apart,     ///< the clients on one, the server on another
};

/// As long as it lives, the server, this thread and the processes that it starts are placed so.
class Placed {
 public:
  /// Throws std::runtime_error where there are not enough processors, see is_possible().
  Placed(pid_t server, Placement placement);
  ~Placed();
  Placed(const Placed&) = delete;
  Placed& operator=(const Placed&) = delete;

 private:
  pid_t server_;
  cpu_set_t before_{};
};

bool is_possible(Placement placement);

}  // namespace redismutex::bench
