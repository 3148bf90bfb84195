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

/// Asks how many replicas have received what was written of some locks, and whether these are still their owners', for long enough: the server that
/// is asked may be another one than the one that was written to, or may have come back without what was written last.
///
/// Replication is in order, so whoever wrote to a lock: what is written after it covers it. A WAIT means something only behind a write of its own
/// connection; so a script looks at the locks and then writes to a key of ours, and WAIT stands right behind it. In a cluster each slot has a
/// script of its own, and all of them one WAIT. WAIT holds up the connection that it is sent on, and no other. Source: the Redis documentation,
/// "WAIT".
class Witness final : public Machine {
 public:
  /// So many items, and slots, in one write at the most: the server does nothing else meanwhile, for some 1 µs each.
  static constexpr std::size_t most_items = 256;
  static constexpr std::size_t most_slots = 32;

  struct Item {
    const Key* key;
    const OwnerId* id;
    Instant until = {};  ///< its lease is to last until then
    std::uint16_t slot = no_slot;
  };
  struct Terms {
    std::int64_t wanted;               ///< the server answers at once when so many replicas have it
    std::chrono::milliseconds within;  ///< else after this time; at least 1 ms
  };

  /// There are some items. What they point to must outlive the machine.
  Witness(std::vector<Item> items, const Terms& terms);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;
  std::optional<Step> split(Instant now) override;
  const Key* key() const noexcept override { return items_.front().key; }

  /// Of a lock.
  enum class Sight : std::uint8_t {
    /// Its slot is on the way to another server, or is there: it is to be asked for alone, where it is then. Only of several slots.
    not_said,
    not_there,  ///< it is not the owner's, or its lease ends before
    there,
  };
  struct Lock {
    Sight sight = Sight::not_said;
    /// Of one that is there: its lease lasts until then for sure. That may be earlier than was asked, if the answer was long on its way.
    Instant until{};
  };
  struct Seen {
    std::vector<Lock> locks;  ///< of the item with the same index
    std::int64_t replicas;    ///< that have received it; may be more than were wanted
  };
  using Outcome = std::variant<Seen, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

 private:
  /// The question about one slot.
  struct Part {
    std::uint16_t slot;
    std::vector<std::size_t> items = {};  // by their indices
    std::string own_key = {};
    std::string key_count = {};
    std::vector<std::string_view> arguments = {};
  };

  void divide();
  void write(Part& part) const;
  Request request();
  Request request_one();
  Step answered_one(const Answer& answer);
  bool take_in(const Part& part, const Answer& answer, const Answer& first);

  const std::vector<Item> items_;
  const std::string wanted_;
  const std::string within_ms_;
  const std::array<std::string_view, 3> wait_;
  std::vector<Part> parts_;
  std::vector<Arguments> more_;  // of all parts but the first
  std::size_t next_ = 0;         // of the items, one by one
  bool one_by_one_ = false;
  Seen seen_{.locks = {}, .replicas = 0};  // so far
  Outcome outcome_;
};

}  // namespace redismutex::protocol
