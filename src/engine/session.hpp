#pragma once

#include <array>
#include <atomic>
#include <redismutex/observer.hpp>
#include <string_view>

#include "engine/clean_ups.hpp"
#include "engine/identity.hpp"
#include "engine/lane.hpp"
#include "engine/line.hpp"
#include "engine/map_reader.hpp"
#include "engine/places.hpp"
#include "engine/renewer.hpp"
#include "engine/setting.hpp"
#include "engine/vigil.hpp"
#include "engine/wake_ups.hpp"
#include "protocol/key.hpp"

namespace redismutex::engine {

/// What all copies of a Connection share in one process, as far as it is no matter of sockets and threads: the leases, the lines,
/// and what is renewed in the background. Thread-safe.
class Session : public Setting {
 public:
  Session(const Outside& outside, const Limits& limits);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Nothing is done in the background any more, but the last clean-ups, which are left to it. The rest may be called still.
  void close() noexcept;

  Identity& identity() noexcept { return identity_; }
  WakeUps& wake_ups() noexcept { return wake_ups_; }
  Lines& lines() noexcept { return lines_; }
  Renewer& renewer() noexcept { return renewer_; }
  Places& places() noexcept { return places_; }
  CleanUps& clean_ups() noexcept { return clean_ups_; }
  MapReader& map_reader() noexcept { return map_reader_; }
  Vigil& vigil() noexcept { return vigil_; }
  Lanes& lanes() noexcept { return lanes_; }

  /// Whether the key was taken the last time that one of us wanted it. A hint: keys may share one.
  std::atomic<bool>& contended(const protocol::Key& key) noexcept;

  // ---- what the server tells; by whichever thread reads

  void take_message(std::string_view text) { wake_ups_.deliver(text); }
  void key_changed(std::string_view key);

  /// All of them, as after FLUSHALL.
  void all_changed();

  /// There is another connection, or soon will be: the server tracks for a connection, and forgets with it; and it may be another
  /// server.
  void server_changed() { renewer_.all_changed(); }

  /// This server ended the subscription to a channel by itself.
  void channel_ended(route::Server& server, std::string_view channel);

 private:
  Identity identity_;
  WakeUps wake_ups_;
  std::array<std::atomic<bool>, 256> contended_{};
  MapReader map_reader_;
  CleanUps clean_ups_;
  Renewer renewer_;
  Places places_;
  Lines lines_;
  Vigil vigil_;
  Lanes lanes_{*this};
};

}  // namespace redismutex::engine
