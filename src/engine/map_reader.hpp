#pragma once

#include <optional>

#include "engine/rounds.hpp"
#include "protocol/instant.hpp"
#include "protocol/slot_map.hpp"

namespace redismutex::engine {

class Session;

/// What came of asking one of a cluster's servers.
struct ReadMap {
  std::optional<protocol::SlotMap> map;  ///< none: it did not tell
  bool broke_the_link = false;           ///< because what it said was no reply, or too large
};

/// Reads which server of a cluster has which slot, whenever there is doubt, or somebody wants to be sure: of one server after the other, until
/// one tells. Only one is asked at a time, and not more often than every 200 ms, however many requests have met a server that is not the right
/// one. Runs in the Background. Without a cluster it does nothing. Thread-safe.
class MapReader final : private Rounds<ReadMap> {
 public:
  /// `session` must outlive it.
  explicit MapReader(Session& session);
  ~MapReader();

  using Rounds::close;

  /// Has the map read once more, of another server than the last time, though there is no doubt: not before the first request has had it read,
  /// and seldom if it is long. In the Background only.
  void look(protocol::Instant now) noexcept;

 private:
  class Flight;
  using Instant = protocol::Instant;

  Instant run(Instant now) noexcept override;
  void have_round() noexcept;
  void take_in(const ReadMap& read, Instant now) noexcept;
  void ask() noexcept;

  Session& session_;

  // The rest belongs to the Background.
  bool wanted_ = false;
  unsigned failures_ = 0;  // in a row, since there was doubt
  Instant not_before_{};
  Instant no_look_before_{};
};

}  // namespace redismutex::engine
