#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "engine/acquisition.hpp"
#include "engine/lease.hpp"
#include "histories/history.hpp"
#include "protocol/instant.hpp"
#include "sim/bell.hpp"

namespace redismutex::sim {

class Process;

/// A lock that a thread holds, and what is recorded of it.
class Lock {
 public:
  /// `bell`: of the thread that is inside, rung when the lock is lost.
  Lock(Process& process, Bell& bell, int client, engine::Acquisition::Granted granted);
  ~Lock();
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  const engine::Acquisition::Granted& granted() const noexcept { return granted_; }
  protocol::Instant valid_until() const noexcept { return granted_.lease->valid_until(granted_.turn); }
  bool valid() const;

  /// From now on somebody is inside. `listens`: he is told when the lock is lost, and of each new end of the lease; else he looks by
  /// himself. `renewed`: for as long as that.
  struct Care {
    bool listens = false;
    bool renewed = false;
  };
  void enter(Care care);

  /// He has found that it is not valid any more.
  void lose();

  /// How long the lease lasts, as far as he knows.
  void look();
  bool is_told() const noexcept { return on_loss_.has_value(); }

  /// Nobody is inside any more; then it is given back.
  void leave();

  /// It was extended, to end then, and should be good for that.
  void record_extension(protocol::Instant until) const { record(histories::Event::Kind::extended, until, {}); }

  /// How that went.
  void record(histories::Event::Kind kind, std::string note = {}) const;

 private:
  void record(histories::Event::Kind kind, protocol::Instant until, std::string note) const;

  Process& process_;
  Bell& bell_;
  const int client_;
  const engine::Acquisition::Granted granted_;
  const std::string turn_;
  bool inside_ = false;
  bool lost_ = false;
  protocol::Instant known_until_;
  std::optional<std::stop_callback<std::function<void()>>> on_loss_;
};

}  // namespace redismutex::sim
