#pragma once

#include <chrono>

#include "protocol/extend.hpp"
#include "protocol/instant.hpp"

namespace redismutex::protocol {

/// Until when a lease can be relied on, as extensions are sent and answered, in whatever order, or never.
///
/// Extensions that do not shorten are simple: each that is answered is good for its own lease, counted from when it was sent.
/// One that shortens may take effect at any time between its sending and its answer, behind whatever else was sent meanwhile;
/// and at any later time if it was never answered. Of several that are under way together nobody knows which is carried out last:
/// the shortest of them counts.
class Validity {
 public:
  /// `claim`: it is the short lease with which the lock was handed over.
  Validity(Instant until, bool claim) : until_{until}, settled_until_{until}, claim_{claim} {}

  /// In the far past once the lock is known to be lost.
  Instant until() const noexcept { return until_; }
  bool is_claim() const noexcept { return claim_; }  ///< or was, when the lock was lost

  /// Whether an extension that may shorten is under way, or nobody knows how it went.
  bool may_shorten() const noexcept { return under_way_ > 0 || is_out_of_sight_; }

  /// An extension that may shorten is about to be sent.
  void begin(const Extend::Terms& terms, Instant now);

  // Each that was begun ends by one of these.

  /// It was not sent after all: then it changes nothing.
  void take_back(const Extend::Terms& terms) noexcept;

  /// It was sent, and nobody knows how it went.
  void lose_sight(const Extend::Terms& terms) noexcept;

  /// It is done. `confirmed_until`: the new lease counts no longer.
  void conclude(const Extend& machine, Instant now, Instant confirmed_until = never);

  /// It was carried out, and does not count: only what it has shortened is shorter.
  void settle(const Extend& machine, Instant now);

  /// One that does not shorten was answered.
  void renewed(std::chrono::milliseconds expiry, Instant sent_at, Instant confirmed_until = never);

  /// The lock is not ours any more.
  void gone() noexcept;

 private:
  static constexpr std::chrono::milliseconds unlimited = std::chrono::milliseconds::max();

  std::chrono::milliseconds under_way() const noexcept { return under_way_ > 0 ? shortest_ : unlimited; }

  Instant until_;
  Instant settled_until_;  // what it would be if the shortening one that is under way had not begun
  bool claim_;
  unsigned under_way_ = 0;                          // so many shortening ones,
  bool is_out_of_sight_ = false;                    // one that began last
  unsigned together_ = 0;                           // of so many that began while others were under way,
  std::chrono::milliseconds shortest_ = unlimited;  // the shortest of all these
  std::chrono::milliseconds doubtful_ = unlimited;  // the shortest of those that were never answered: for ever
  std::chrono::milliseconds settled_ = unlimited;   // that of those that were answered last,
  Instant settled_at_;                              // at the latest then
};

}  // namespace redismutex::protocol
