#pragma once

#include <algorithm>
#include <chrono>

namespace redismutex::cli {

/// What happens when in the life of a lease, which the library renews before a third of it has passed. With the default expiry of
/// 7 s: the command is told to stop when 1.2 s are left, and killed when 0.5 s are left.
struct LeaseTiming {
  explicit constexpr LeaseTiming(std::chrono::milliseconds lease) : expiry{lease} {}

  std::chrono::milliseconds expiry;

  /// From one look at what is left of the lease to the next: well before what was seen the last time ends.
  constexpr std::chrono::milliseconds publish_every() const { return expiry / 4; }

  /// With this little of the lease left it is killed. A command that has lost its lock already gets this much time to stop.
  ///
  /// On a busy machine a process of ours comes to run tens of milliseconds after its time, and so does a process of the
  /// command that has to die. That does not depend on the length of the lease, so a short lease needs a large part of it.
  constexpr std::chrono::milliseconds kill_margin() const {
    return std::min(expiry / 4, std::chrono::milliseconds{500});
  }

  /// With this little left of a lease that could not be renewed, the command is asked to stop (SIGTERM).
  constexpr std::chrono::milliseconds stop_margin() const {
    return std::min(kill_margin() + expiry / 10, std::chrono::milliseconds{5000});
  }

  /// So much later the watcher does what the keeper should have done, and once more so much later the witness.
  constexpr std::chrono::milliseconds watchers_patience() const { return kill_margin() / 5; }

  /// How long to wait for the server, so that a renewal without answer leaves time for others within the lease.
  constexpr std::chrono::milliseconds answer_timeout() const {
    return std::clamp(expiry / 5, std::chrono::milliseconds{250}, std::chrono::milliseconds{2000});
  }
};

}  // namespace redismutex::cli
