#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/machine.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::protocol {

/// Gives a lock back, in one atomic step on the server, if it is still the owner's; else gives up its place in line.
class Release final : public Machine {
 public:
  /// Whether somebody is likely to be waiting.
  enum class Waiters { none_known, likely };

  /// The server's own command to delete a key if it has a certain value, where it has one. It is cheaper than the script, and
  /// does not look at the line: whether there is one is asked right behind it, and then the script gives the free lock to the
  /// first in it.
  enum class Deletion {
    by_script,
    by_delifeq,  ///< DELIFEQ key value: Valkey 9.0
    by_delex,    ///< DELEX key IFEQ value: Redis 8.4
  };

  /// What to do about dead waiters, of whom the server removes only so many at once before it hands the lock over.
  enum class Dead {
    leave,  ///< the answer says that there are more, see more()
    clear,  ///< until all are gone
  };

  /// Whether the owner has written a label beside the key (WriteLabel), which goes with the lock: by the script only.
  enum class Label { none, may_be_there };

  struct Terms {
    Instant valid_until;                ///< of the lease that is given back
    std::uint64_t token = 0;            ///< the highest fencing token that was used with it; 0: none
    std::string_view details{};         ///< of the place in line, see Acquire::details(); empty: there is none
    std::string_view former_details{};  ///< see Acquire::former_details()
    Waiters waiters = Waiters::none_known;
    Deletion deletion = Deletion::by_script;
    Dead dead = Dead::leave;
    Label label = Label::none;
  };

  /// `key` and `id` must outlive the machine.
  Release(const Key& key, const OwnerId& id, const Terms& terms);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;
  std::optional<Step> split(Instant now) override;
  const Key* key() const noexcept override { return &key_; }

  struct Released {};
  struct Gone {};  ///< it was not ours any more
  using Outcome = std::variant<Gone, Released, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

  /// Whether an attempt was never answered.
  bool in_doubt() const noexcept { return in_doubt_; }

  /// The lock is given up, but still stands at the key: there are dead waiters in line, more than one run may look at. Somebody
  /// has to go on, by another Release with Dead::clear; until then nobody else gets it before its lease ends.
  bool more() const noexcept { return more_; }

  /// The server would not carry out its own command for this: it has none, or does not let us.
  bool deletion_refused() const noexcept { return deletion_refused_; }

 private:
  Request request();
  Request deletion(Arguments command);
  Request script();

  const Terms terms_;
  const Key& key_;
  const OwnerId& id_;
  const std::string token_;
  const std::string details_;
  const std::string former_details_;
  std::array<std::string_view, 11> command_;  // the last one
  std::array<std::string_view, 2> is_line_there_;
  Deletion deletion_;
  bool deleted_ = false;  // by the server's own command; what comes then is for those who wait
  bool started_in_lease_ = false;
  bool in_doubt_ = false;  // an earlier attempt was never answered
  bool more_ = false;
  bool alone_ = false;  // the key, without what stands beside it
  bool deletion_refused_ = false;
  Outcome outcome_{Gone{}};
};

}  // namespace redismutex::protocol
