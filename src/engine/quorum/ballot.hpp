#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/approach.hpp"
#include "engine/quorum/panel.hpp"
#include "engine/quorum/quorum_lease.hpp"
#include "protocol/acquire.hpp"
#include "protocol/council.hpp"
#include "protocol/instant.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

class Delegate;

/// One attempt to get a lock from a majority: what its delegates, one at each server, have brought so far, and what follows from that. One
/// that is closed is over for good, and so is its id: what delegates bring then is given back.
///
/// A delegate's vote is no lease before a majority stands, because it may have to be yielded. In that moment, by whichever delegate brings
/// the last vote needed, all votes become leases of the QuorumLease.
///
/// Thread-safe.
class Ballot {
 public:
  /// Whether its delegates stand in line where the lock is taken; only then they yield votes.
  enum class Kind { one_try, waits };

  /// `caller` is woken when there is something to be decided by it.
  Ballot(const Panel& panel, Kind kind, std::shared_ptr<QuorumLease> lease, route::Waker& caller);
  ~Ballot();
  Ballot(const Ballot&) = delete;
  Ballot& operator=(const Ballot&) = delete;

  // ---- for the caller

  struct State {
    protocol::Council::Verdict verdict;
    bool meets_others;  ///< others have it, as far as a majority of the servers says
    bool is_answered;   ///< a majority has answered, in whatever way
    bool is_silent;     ///< some have not, and it is not known why
    bool is_full;       ///< some have no place in line left
    bool was_handed;    ///< of a lock that is won: by its owner
  };
  State state(protocol::Instant now) const;

  /// Why servers have not answered, one after the other: the reason of each, by its name.
  struct Trouble {
    std::size_t server;
    route::Failure failure;
    std::string code;  ///< of a refusal, else empty
  };
  std::vector<Trouble> troubles() const;

  std::uint64_t token() const;

  /// The caller is not woken any more. What comes from now on is of use still, until close().
  void detach() noexcept;

  /// Nothing is wanted any more: its delegates give back what they have, or get. The second time it does nothing.
  void close() noexcept;

  // ---- for delegates

  /// One delegate is on its way; until it leaves.
  void enter(Delegate& delegate);
  void leave(Delegate& delegate) noexcept;

  bool is_closed() const noexcept;
  bool is_waiting() const noexcept;                   ///< for a majority
  bool is_asking(std::size_t server) const noexcept;  ///< a delegate is on its way

  /// Its server has given its vote. Whether it is to be kept, see order().
  bool note_held(Delegate& delegate, const protocol::Acquire::Held& held, protocol::Instant now);
  void note_waits(const Delegate& delegate, protocol::Instant now);
  void note_taken(const Delegate& delegate, bool full, protocol::Instant now);
  void note_trouble(const Delegate& delegate, Trouble trouble, protocol::Instant now);
  void note_round_trip(const Delegate& delegate, protocol::Instant::duration round_trip);

  /// What a delegate is to do with its vote.
  struct Order {
    enum class What {
      keep,       ///< until that time, and then ask once more
      ask_again,  ///< the server; from now on the vote does not count
      end,        ///< it is a lease now, or nobody wants it
    };
    What what;
    protocol::Instant until{};
  };

  /// `link_broke`: on which the vote came.
  Order order(Delegate& delegate, bool link_broke, protocol::Instant now);

 private:
  struct Seat {
    Delegate* delegate = nullptr;  // on its way
    bool has_vote = false;         // that is no lease yet
    bool is_claim = false;
    bool yields = false;  // is to ask again
    std::optional<Trouble> trouble;
  };

  void have_yielded() noexcept;
  void conclude(protocol::Instant now) noexcept;
  void win(protocol::Instant now) noexcept;
  std::uint64_t chance() const noexcept;

  const Kind kind_;
  route::Environment& environment_;

  mutable std::mutex mutex_;  // guards the rest
  std::shared_ptr<QuorumLease> lease_;
  route::Waker* caller_;
  protocol::Council council_;
  std::vector<Seat> seats_;
  bool closed_ = false;
  bool won_ = false;
  bool full_ = false;
  bool handed_ = false;
  bool met_told_ = false;
};

}  // namespace redismutex::engine
