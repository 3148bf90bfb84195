#pragma once

#include <chrono>

#include "protocol/extend.hpp"
#include "protocol/instant.hpp"

namespace redismutex::protocol {

/// Until when a lease can be relied on, as extensions are sent and answered, in whatever order, or never.
///
/// Extensions that do not shorten are simple: each that is answered is good for its own lease, counted from when it was sent.
/// One that shortens may take effect at any time between its sending and its answer, behind whatever else was sent meanwhile;
/// and at any later time if it was never answered.
class Validity {
 public:
  /// `claim`: it is the short lease with which the lock was handed over.
  Validity(Instant until, bool claim) : until_{until}, settled_until_{until}, claim_{claim} {}

  /// In the far past once the lock is known to be lost.
  Instant until() const noexcept { return until_; }
  bool is_claim() const noexcept { return claim_; }

  /// Whether an extension that may shorten is under way, or nobody knows how it went.
  bool may_shorten() const noexcept { return pending_ != unlimited; }

  /// An extension that may shorten is about to be sent.
  void begin(const Extend::Terms& terms, Instant now);

  /// It was not sent after all: then it changes nothing. Only for the last one that was begun, in place of conclude().
  void take_back(const Extend::Terms& terms) noexcept;

  /// It is done. Not to be called if nobody knows how it went.
  void conclude(const Extend& machine, Instant now);

  /// In place of conclude(), for one that was carried out and does not count: only what it has shortened is shorter.
  void settle(const Extend& machine, Instant now);

  /// One that does not shorten was answered.
  void renewed(std::chrono::milliseconds expiry, Instant sent_at);

  /// The lock is not ours any more.
  void gone() noexcept;

 private:
  static constexpr std::chrono::milliseconds unlimited = std::chrono::milliseconds::max();

  Instant until_;
  Instant settled_until_;  // what it would be if the shortening one that is under way had not begun
  bool claim_;
  std::chrono::milliseconds pending_ = unlimited;   // the lease of a shortening one that is under way
  std::chrono::milliseconds doubtful_ = unlimited;  // the shortest of those that were never answered: for ever
  std::chrono::milliseconds settled_ = unlimited;   // that of the last one that was answered,
  Instant settled_at_;                              // at the latest then
};

}  // namespace redismutex::protocol
