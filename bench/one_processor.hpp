#pragma once

#include <sched.h>
#include <sys/types.h>

namespace redismutex::bench {

/// As long as it lives, a server, this thread and the processes that it starts share one processor, the one it runs on at the
/// beginning. On a virtual machine it may take three times as long to wake somebody on another processor, which sleeps, as on
/// the own one; left to themselves the players are put here and there, from run to run in another way.
class OneProcessor {
 public:
  explicit OneProcessor(pid_t server);
  ~OneProcessor();
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

 private:
  pid_t server_;
  cpu_set_t before_{};
};

}  // namespace redismutex::bench
