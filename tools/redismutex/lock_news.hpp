#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <redismutex/observer.hpp>
#include <set>
#include <string>
#include <string_view>

#include "boot_clock.hpp"

namespace redismutex::cli {

/// What the library tells of the lock and of the server, for those who have to say why. Thread-safe.
class LockNews final : public Observer {
 public:
  /// The server, or so many of a quorum's that no majority is left, have gone, or could not be reached yet.
  struct Absence {
    BootClock::time_point since;
    std::string reason;
  };

  /// Until they are reached the servers count as away.
  explicit LockNews(std::size_t servers)
      : servers_{servers}, absence_{Absence{BootClock::now(), "there is no connection yet"}} {}

  /// "the server"; of a quorum "a majority of the servers".
  std::string whom() const { return servers_ == 1 ? "the server" : "a majority of the servers"; }

  /// How a lock was lost, for people; empty if none was.
  std::string why_lost() const;

  /// Why the last renewal failed; empty if it did not.
  std::string renewal_trouble() const;

  /// The id under which the lock is waited for; empty: none yet.
  std::string waiters_id() const;

  /// None: it is there, or a majority is, as far as is known.
  std::optional<Absence> absence() const;

  // Of Observer.
  void wait_began(const WaitBegan& event) noexcept override;
  void lock_lost(const LockLost& event) noexcept override;
  void lease_renewed(const LeaseRenewed& event) noexcept override;
  void renewal_failed(const RenewalFailed& event) noexcept override;
  void connected(const Connected& event) noexcept override;
  void connect_failed(const ConnectFailed& event) noexcept override;
  void disconnected(const Disconnected& event) noexcept override;

 private:
  void note_absence(std::string_view server, std::string_view reason) noexcept;
  bool are_enough() const { return present_.size() > servers_ / 2; }

  /// Behind one URL all servers are one: of a cluster's, the one that is away may be the one that is needed.
  std::string_view voter(std::string_view server) const { return servers_ == 1 ? std::string_view{} : server; }

  const std::size_t servers_;

  mutable std::mutex mutex_;  // guards what follows
  std::optional<Loss> why_lost_;
  std::string renewal_trouble_;
  std::string waiters_id_;
  std::set<std::string, std::less<>> present_;  // see voter()
  std::optional<Absence> absence_;
};

}  // namespace redismutex::cli
