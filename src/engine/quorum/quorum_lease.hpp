#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/observer.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/lease.hpp"
#include "engine/quorum/panel.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "route/callbacks.hpp"
#include "route/environment.hpp"

namespace redismutex::engine {

class Ballot;
class Bell;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final
class LossJob;

/// A time of ownership of a key at a quorum: a lease at each server that has given its vote. It lasts as long as a majority of all servers'
/// leases do. Votes beyond the majority are kept, too: each is one that may be lost. Each lease is looked after, and renewed, by its own
/// Session.
///
/// Made before the requests leave, so that nothing can fail after the grant. Belongs to shared_ptrs. Thread-safe. Its mutex comes before
/// those of leases, and after the Ballot's.
class QuorumLease final : public Lease::Successor, public std::enable_shared_from_this<QuorumLease> {
 public:
  /// The panel's Sessions must be there until end(). Throws std::bad_alloc; std::system_error where it is to be renewed, and there is no thread
  /// for that.
  QuorumLease(std::shared_ptr<const Panel> panel, protocol::Key key, const protocol::OwnerId& id, Lease::Terms terms);
  ~QuorumLease();

  const protocol::Key& key() const noexcept { return key_; }
  const std::string& key_text() const noexcept { return key_text_; }
  const std::string& value() const noexcept { return value_; }
  const Lease::Terms& terms() const noexcept { return terms_; }
  const Panel& panel() const noexcept { return *panel_; }

  /// The lease at one server.
  struct Part {
    std::size_t server;
    std::shared_ptr<Lease> lease;
    Lease::Turn turn;
    protocol::Instant added{};
    bool counts = true;  ///< else it is on probation, see protocol::end_probation()

    protocol::Instant confirmed() const noexcept { return lease->confirmed(); }
  };

  /// A server has given its vote. False: it is of no use any more, and the caller's. Once it has begun, votes are added as long as a majority stands
  /// without them, and are on probation at first: a lock that was lost is never taken again.
  bool add(Part part) noexcept;

  /// A majority has. From now on it is held; `ballot`: goes on to collect, and is closed at the end. `token`: that is used with it.
  void begin(std::shared_ptr<Ballot> ballot, std::uint64_t token, protocol::Instant now) noexcept;
  protocol::Instant began() const noexcept;
  std::uint64_t token() const noexcept;

  /// As Lease's, of a majority of the servers; a time long past once it was lost or has ended.
  protocol::Instant valid_until() const noexcept;
  protocol::Instant valid_here_until() const noexcept;
  bool has_claims() const noexcept;
  std::stop_token lost_token();

  /// With those that were found lost, and those on probation.
  std::vector<Part> parts() const;

  /// Why it was found lost, if it was.
  std::optional<Loss> lost() const noexcept;

  /// Whether it has begun, and has neither ended nor been found lost.
  bool is_held() const noexcept;

  /// Asks the servers for their votes that have given none, or have lost it, in the background; as long as a majority stands. Where there is
  /// no thread or memory for it, it does without.
  void collect() noexcept;

  /// Of one that is renewed, now and then: the same, and tells the Observer if it was renewed since.
  void attend() noexcept;

  /// It was found lost, and what is left of it is given back in the background: what tells of that, if nobody did yet; to be run by the
  /// holder's own thread, or by Callbacks. Not to be called with a lock held.
  [[nodiscard]] std::unique_ptr<route::Job> note_loss(Loss why) noexcept;

  /// It is over, and no vote is added any more. Once: what is to be given back; nothing where it was lost before.
  std::vector<Part> end() noexcept;

 private:
  void lease_is_over(Lease& lease, Lease::Turn turn) noexcept override;
  void end_probation() const noexcept;
  bool stands_without(std::size_t server, protocol::Instant now) const noexcept;
  template <class End>
  protocol::Instant majority_end(const End& end) const noexcept;
  std::unique_ptr<LossJob> lose(Loss why) noexcept;
  bool is_present() const noexcept { return began_ != protocol::Instant{} && !ended_ && !lost_; }

  std::unique_ptr<LossJob> make_loss_job() const;
  std::vector<std::size_t> lacking(protocol::Instant now) const;

  const std::shared_ptr<const Panel> panel_;
  const std::shared_ptr<Callbacks> callbacks_;
  route::Environment& environment_;
  const protocol::Key key_;
  const std::string key_text_;
  const std::string value_;
  const Lease::Terms terms_;

  mutable std::mutex mutex_;  // guards the rest
  // Has room for all; the oldest first. Which of them count is found out when somebody wants to know.
  mutable std::vector<Part> parts_;
  std::shared_ptr<Ballot> ballot_;
  std::shared_ptr<Bell> collecting_;  // if it collects by itself
  protocol::Instant began_{};
  protocol::Instant told_until_{};  // the Observer; belongs to who attends, from begin() on
  std::uint64_t token_ = 0;
  bool ended_ = false;
  bool is_told_ = false;  // of the ends of its leases
  std::optional<Loss> lost_;
  std::unique_ptr<LossJob> job_;  // if anybody is to be told
  std::stop_source loss_{std::nostopstate};
};

}  // namespace redismutex::engine
