#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <redismutex/observer.hpp>
#include <string_view>

#include "engine/clean_ups.hpp"
#include "engine/identity.hpp"
#include "engine/line.hpp"
#include "engine/places.hpp"
#include "engine/renewer.hpp"
#include "engine/wake_ups.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "route/background.hpp"
#include "route/callbacks.hpp"
#include "route/environment.hpp"
#include "route/server.hpp"

namespace redismutex::engine {

using route::Callbacks;

/// What all copies of a Connection share in one process, as far as it is no matter of sockets and threads: the leases, the lines,
/// and what is renewed in the background. What it has from outside the simulator supplies, too. Thread-safe.
class Session {
 public:
  struct Outside {
    route::Environment& environment;
    route::Server& server;
    route::Background& background;
    Callbacks& callbacks;
  };
  struct Limits {
    std::chrono::milliseconds connect_timeout;
    std::chrono::milliseconds command_timeout;
  };

  Session(const Outside& outside, const Limits& limits);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Nothing is done in the background any more, but the last clean-ups, which are left to it. The rest may be called still.
  void close() noexcept;

  protocol::Instant now() const noexcept { return outside_.environment.now(); }
  route::Environment& environment() noexcept { return outside_.environment; }
  route::Server& server() noexcept { return outside_.server; }
  route::Background& background() noexcept { return outside_.background; }
  Callbacks& callbacks() noexcept { return outside_.callbacks; }
  const Limits& limits() const noexcept { return limits_; }

  /// How long an operation that has no time limit of its own may take: to reach the server and to get an answer.
  protocol::Instant patience() const noexcept;

  Identity& identity() noexcept { return identity_; }
  WakeUps& wake_ups() noexcept { return wake_ups_; }
  Lines& lines() noexcept { return lines_; }
  Renewer& renewer() noexcept { return renewer_; }
  Places& places() noexcept { return places_; }
  CleanUps& clean_ups() noexcept { return clean_ups_; }

  /// Whether the key was taken the last time that one of us wanted it. A hint: keys may share one.
  std::atomic<bool>& contended(const protocol::Key& key) noexcept;

  // ---- what the server tells; by whichever thread reads

  void take_message(std::string_view text) { wake_ups_.deliver(text); }
  void key_changed(std::string_view key);

  /// All of them, as after FLUSHALL.
  void all_changed();

  /// There is another connection: the server tracks for a connection, and forgets with it.
  void reconnected() { renewer_.all_changed(); }

  /// It ended the subscription to a channel by itself.
  void channel_ended(std::string_view channel);

 private:
  const Outside outside_;
  const Limits limits_;
  Identity identity_;
  WakeUps wake_ups_;
  std::array<std::atomic<bool>, 256> contended_{};
  CleanUps clean_ups_;
  Renewer renewer_;
  Places places_;
  Lines lines_;
};

}  // namespace redismutex::engine
