#pragma once

#include <mutex>
#include <optional>
#include <redismutex/observer.hpp>
#include <string>

#include "boot_clock.hpp"

namespace redismutex::cli {

/// What the library tells of the lock and of the server, for those who have to say why. Thread-safe.
class LockNews final : public Observer {
 public:
  /// A server that has gone, or could not be reached yet.
  struct Absence {
    BootClock::time_point since;
    std::string reason;
  };

  /// Until it is reached the server counts as away.
  LockNews() : absence_{Absence{BootClock::now(), "there is no connection yet"}} {}

  /// How a lock was lost, for people; empty if none was.
  std::string why_lost() const;

  /// Why the last renewal failed; empty if it did not.
  std::string renewal_trouble() const;

  /// The id under which the lock is waited for; empty: none yet.
  std::string waiters_id() const;

  /// None: it is there, as far as is known.
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
  void note_absence(std::string_view reason) noexcept;

  mutable std::mutex mutex_;  // guards what follows
  std::optional<Loss> why_lost_;
  std::string renewal_trouble_;
  std::string waiters_id_;
  std::optional<Absence> absence_;
};

}  // namespace redismutex::cli
