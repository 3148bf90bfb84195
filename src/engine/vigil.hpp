#pragma once

#include <atomic>

#include "engine/enlistment.hpp"
#include "protocol/instant.hpp"
#include "route/background.hpp"

namespace redismutex::engine {

class Session;

/// Has it verified when a lock is taken, and once a second as long as one is held or waited for, that the server is still the one to be at,
/// where another may take its place: sentinels are asked for the master, or a cluster's servers for the map. A server that was replaced goes on
/// answering for many seconds, or is silent, and a holder that has nothing to send hears of neither. Thread-safe.
class Vigil final : private route::Background::Duty {
 public:
  /// `session` must outlive it.
  explicit Vigil(Session& session);
  ~Vigil() { close(); }

  /// There is a lock that is held or waited for, see Renewer::is_idle(). Without a thread nothing is verified.
  void keep() noexcept;

  void close() noexcept { enlistment_.close(); }

 private:
  protocol::Instant run(protocol::Instant now) noexcept override;
  void verify(protocol::Instant now) noexcept;

  Session& session_;
  Enlistment enlistment_;
  std::atomic<bool> keeping_{false};
  std::atomic<protocol::Instant::rep> due_{0};  // no look before that
};

}  // namespace redismutex::engine
