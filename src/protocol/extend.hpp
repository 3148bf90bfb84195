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

namespace redismutex::protocol {

/// Whether the server is to tell us once when somebody changes the key.
enum class Tracking { off, on };

/// What becomes of a lease that is longer than the new one.
enum class Longer {
  stays,  ///< so that a request which arrives late, behind another one, does no harm
  goes,
};

/// Starts a lease anew, if the lock is still the owner's. Never takes a lost lock again.
class Extend final : public Machine {
 public:
  struct Terms {
    std::chrono::milliseconds expiry;
    Longer longer = Longer::stays;
    Tracking tracking = Tracking::off;
  };

  /// `key` and `id` must outlive the machine.
  Extend(const Key& key, const OwnerId& id, const Terms& terms);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;
  std::optional<Step> split(Instant now) override;
  const Key* key() const noexcept override { return &key_; }

  struct Extended {
    Instant sent_at;       ///< the new lease counts from then
    std::int64_t waiting;  ///< how many stand in the server's line and are alive
  };
  struct Gone {};  ///< it was not ours any more
  using Outcome = std::variant<Gone, Extended, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

  const Terms& terms() const noexcept { return terms_; }

  /// Whether an attempt was never answered: it may still take effect, behind whatever was sent since.
  bool in_doubt() const noexcept { return in_doubt_; }

 private:
  const Key& key_;
  const Terms terms_;
  const std::string expiry_ms_;
  const OwnerId& id_;
  std::array<std::string_view, 9> arguments_;
  std::size_t argument_count_ = 9;
  bool in_doubt_ = false;
  Outcome outcome_{Gone{}};
};

/// The same for many leases in one command, and for leases that are only to be looked at. Shortens none. In a cluster all of their keys
/// are to be of one slot.
class ExtendMany final : public Machine {
 public:
  /// So many items in one command at the most: the server does nothing else meanwhile, for some 5 µs each.
  static constexpr std::size_t most_items = 128;

  struct Item {
    const Key* key;
    const OwnerId* id;
    std::chrono::milliseconds expiry;  ///< 0: leave the lease as it is
  };

  /// There are some. What they point to must outlive the machine.
  ExtendMany(std::vector<Item> items, Tracking tracking);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;
  std::optional<Step> split(Instant now) override;
  const Key* key() const noexcept override { return items_.front().key; }

  /// Of the item with the same index.
  struct Looked {  ///< still ours; the lease is as it was
    Instant sent_at;
    std::int64_t waiting;  ///< as in Extend::Extended
  };
  using Fate = std::variant<Extend::Gone, Extend::Extended, Looked>;
  using Outcome = std::variant<std::vector<Fate>, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

 private:
  Request request() const;
  Request request_one();
  Step answered_one(const Answer& answer);
  static Fate fate_of(const Item& item, std::int64_t said, Instant sent_at);

  const std::vector<Item> items_;
  const Tracking tracking_;
  const std::string key_count_;
  std::vector<std::string> numbers_;
  std::vector<std::string_view> arguments_;
  bool one_by_one_ = false;
  std::vector<Fate> fates_;  // so far, one by one
  Outcome outcome_;
};

}  // namespace redismutex::protocol
