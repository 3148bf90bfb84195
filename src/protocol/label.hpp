#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/machine.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::protocol {

/// The value of a label: `1 ID SINCE EXPIRY TOKEN TEXT`, with one blank between. SINCE: milliseconds since 1970. EXPIRY: milliseconds;
/// with a minus in front of a lock that was left. TOKEN: 0 for none. TEXT: at most `longest_label_text` bytes, any of them.
constexpr std::size_t longest_label_text = 512;

/// Writes the label of a lock beside its key, for people to read. It names its owner, so that a label that is left over speaks for
/// nobody else. Repeatable.
class WriteLabel final : public Machine {
 public:
  struct Terms {
    std::chrono::milliseconds since;   ///< 1970: the owner has the lock since then
    std::chrono::milliseconds expiry;  ///< the length of its lease
    bool left = false;                 ///< the owner has let go of the lock, and it stands
    std::uint64_t token = 0;           ///< its fencing token; 0: none
    std::string_view text;
    std::chrono::milliseconds lasts;  ///< the server removes the label after this time
  };

  /// `key` must outlive the machine.
  WriteLabel(const Key& key, const OwnerId& id, const Terms& terms);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;
  const Key* key() const noexcept override { return &key_; }  // NOLINT: its constructor, elsewhere, sets it

  struct Written {};
  using Outcome = std::variant<Written, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

 private:
  const Key& key_;
  const std::string value_;
  const std::string lasts_ms_;
  const std::array<std::string_view, 5> arguments_;
  Outcome outcome_;
};

}  // namespace redismutex::protocol
