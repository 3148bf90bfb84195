#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/machine.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/slot.hpp"

namespace redismutex::protocol {

/// Asks how many replicas have received what was written of some locks, and whether these are still their owners'.
///
/// Replication is in order, so whoever wrote to a lock: what is written after it covers it. A WAIT means something only behind a write of its own
/// connection; so a script looks at the locks and then writes to a key of ours, and WAIT stands right behind it. WAIT holds up the connection
/// that it is sent on, and no other. Source: the Redis documentation, "WAIT".
class Witness final : public Machine {
 public:
  /// So many items in one command at the most: the server does nothing else meanwhile, for some 1 µs each.
  static constexpr std::size_t most_items = 256;

  struct Item {
    const Key* key;
    const OwnerId* id;
  };
  struct Terms {
    std::int64_t wanted;               ///< the server answers at once when so many replicas have it
    std::chrono::milliseconds within;  ///< else after this time; at least 1 ms
    std::uint16_t slot = no_slot;      ///< of all keys
  };

  /// There are some items. What they point to must outlive the machine.
  Witness(std::vector<Item> items, const Terms& terms);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;
  std::optional<Step> split(Instant now) override;
  const Key* key() const noexcept override { return items_.front().key; }

  struct Seen {
    std::vector<bool> theirs;  ///< of the item with the same index: whether the lock is its owner's
    std::int64_t replicas;     ///< that have received it; may be more than were wanted
  };
  using Outcome = std::variant<Seen, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

 private:
  Request request();

  const std::vector<Item> items_;
  const std::string own_key_;
  const std::string wanted_;
  const std::string within_ms_;
  const std::array<std::string_view, 3> wait_;
  bool one_by_one_ = false;
  std::string key_count_;
  std::vector<std::string_view> arguments_;
  Seen seen_{.theirs = {}, .replicas = 0};  // so far
  Outcome outcome_;
};

}  // namespace redismutex::protocol
