#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <redismutex/lock.hpp>
#include <redismutex/observer.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

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
  explicit LockNews(const std::vector<ConnectionOptions>& servers)
      : servers_{servers.size()},
        whom_{servers_ == 1 ? "the server " + display_name(servers.front()) : "a majority of the servers"},
        absence_{Absence{BootClock::now(), "there is no connection yet"}} {}

  /// "the server redis://db1:6379"; of a quorum "a majority of the servers".
  const std::string& whom() const noexcept { return whom_; }

  /// For people: "was lost (it was deleted, broken, or taken by another owner)"; or, if it is not lost yet, "could not be renewed for
  /// 5.1 s (the server redis://db1:6379: Connection refused)".
  std::string why_stopping(const Lock& lock, bool is_lost, std::chrono::milliseconds unrenewed) const;

  /// The id under which the lock is waited for; empty: none yet.
  std::string waiters_id() const;

  /// None: it is there, or a majority is, as far as is known.
  std::optional<Absence> absence() const;

  /// Whether that will do, so far as is known: a server that has just come back may go at once, as a replica does that is asked for a
  /// lock. Then it was away all the time.
  bool is_settled() const;

  // Of Observer.
  void wait_began(const WaitBegan& event) noexcept override;
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
  const std::string whom_;

  mutable std::mutex mutex_;  // guards what follows
  std::string renewal_trouble_;
  std::string waiters_id_;
  std::set<std::string, std::less<>> present_;  // see voter()
  std::optional<Absence> absence_;
  std::optional<Absence> before_;    // the one before the servers came back,
  BootClock::time_point back_at_{};  // which was then
};

}  // namespace redismutex::cli
