#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <redismutex/inspection.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/machine.hpp"

namespace redismutex::protocol {

/// The label that the owner with this id has written. None if another one has, or if it can not be read: a newer version's has
/// another number in front.
std::optional<Label> read_label(std::string_view label, std::string_view id);

/// Looks at many locks from outside.
class Inspect final : public Machine {
 public:
  enum class Which {
    each_key,    ///< whatever stands at it
    only_locks,  ///< those with a string of 36 bytes, or with a line
  };

  struct Terms {
    std::size_t waiters = 0;  ///< of how many to tell, of each lock
    std::size_t offset = 0;   ///< how many places to pass over before that
    Which which = Which::each_key;
  };

  /// In one command, at the most: the server does nothing else meanwhile, for less than a millisecond.
  static constexpr std::size_t most_locks = 32;
  static constexpr std::size_t most_places = 64;

  /// So many locks are looked at in one command, when of each so many waiters are told.
  static constexpr std::size_t locks_at_once(std::size_t waiters) {
    return std::clamp<std::size_t>(most_places / (1 + waiters), 1, most_locks);
  }

  /// So many waiters of one lock can be told of.
  static constexpr std::size_t most_waiters = 100;

  /// In a cluster all keys are to be of one slot.
  Inspect(std::vector<Key> keys, const Terms& terms);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;
  const Key* key() const noexcept override { return keys_.empty() ? nullptr : &keys_.front(); }

  /// In the order of the keys; with only_locks, some are left out.
  using Outcome = std::variant<std::vector<Inspection>, Refusal>;
  Outcome& outcome() noexcept { return outcome_; }

 private:
  Step next();
  Request request();
  bool read(const Answer& answer);

  const std::vector<Key> keys_;
  const Terms terms_;
  const std::size_t batch_;  // keys in one command
  const std::string waiters_;
  const std::string offset_;
  std::size_t done_ = 0;   // so many keys were told of
  std::size_t asked_ = 0;  // in the present request
  bool read_only_ = true;  // by EVALSHA_RO, as long as the server lets us
  std::string key_count_;
  std::vector<std::string_view> arguments_;
  Outcome outcome_;
};

}  // namespace redismutex::protocol
