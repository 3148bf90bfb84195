#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <redismutex/options.hpp>
#include <string>

#include "engine/conversation.hpp"
#include "engine/lease.hpp"
#include "engine/places.hpp"
#include "engine/wake_ups.hpp"
#include "protocol/acquire.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "route/procedure.hpp"
#include "route/pushes.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

class Session;

/// What one of those who want a lock wants.
struct Wishes {
  std::chrono::milliseconds expiry;
  std::chrono::milliseconds delay;
  std::optional<protocol::Instant> wait_until;  ///< none: one attempt
  int max_waiters = 10000;
  int local_handoffs = 16;  ///< 0: does not stand in line with others of the process
  bool fencing = false;

  // As in Lease::Terms.
  Replicas replicas = {};
  bool renews = false;
  std::chrono::milliseconds max_hold{0};
  protocol::Instant latest_end = protocol::never;  // with max_hold: of a lock that has begun before
  std::string label = {};
  std::string name = {};

  /// Called once, when somebody else is found to have the lock and the caller is going to wait. With no lock held.
  std::function<void()> on_wait = {};
};

/// What a place in line at the server is to be like, so that it suits all whose turn may come by it.
struct PlaceTerms {
  std::chrono::milliseconds expiry;
  std::chrono::milliseconds delay;
  bool fencing;
  std::chrono::milliseconds longest_expiry;  ///< of the one that is first, which may hold the lock for so long

  friend bool operator==(const PlaceTerms&, const PlaceTerms&) = default;
};

/// What the ways to one lock at several servers have in common.
struct Candidacy {
  protocol::OwnerId id;
  std::chrono::microseconds ticket;  ///< the place in each server's line: see protocol::Terms
};

PlaceTerms place_terms(const Wishes& wishes) noexcept;

/// The more demanding of each, as far as the first of them may have it.
PlaceTerms merge(const PlaceTerms& terms, const Wishes& wishes) noexcept;

/// The way to the lock at the server, with an id of its own, and the place in line there. It belongs to a line of the process, not to
/// the one that drives it at the moment: one that gives up leaves it to the next, which goes on with the same id and place.
/// For one driver at a time.
class Approach {
 public:
  /// `candidacy`: it is one server's of a quorum. Throws std::bad_alloc; std::system_error if there is no chance to be had, or as Lease
  /// does.
  Approach(Session& session, const protocol::Key& key, const Wishes& wishes, const PlaceTerms& place,
           route::Waker& waker, const Candidacy* candidacy = nullptr);

  /// Gives up what the server may still have of it, in the background.
  ~Approach();
  Approach(const Approach&) = delete;
  Approach& operator=(const Approach&) = delete;

  /// From another thread than its driver's, while nobody drives it.
  void change_waker(route::Waker& waker) noexcept { inbox_.change_waker(waker); }

  /// Another driver goes on. Throws as the constructor does; then it is as it was.
  void take_over(const Wishes& wishes, const PlaceTerms& place);

  /// More is wanted of the place, from the next question on.
  void change_place(const Wishes& wishes, const PlaceTerms& place);

  const protocol::Key& key() const noexcept { return key_; }
  const protocol::OwnerId& id() const noexcept { return id_; }
  engine::Conversation& conversation() noexcept { return conversation_; }
  const engine::Conversation& conversation() const noexcept { return conversation_; }
  const protocol::Acquire& machine() const noexcept { return machine_; }
  std::size_t take_claims_lost() noexcept { return machine_.take_claims_lost(); }

  /// The lock is ours, and has not become a lease yet: asks for it again, and gives it up if somebody waits whose ticket is lower.
  route::Procedure::Step yield();

  /// The lock is ours: the lease begins, see Lease::begin(). Afterwards the approach is of no more use.
  struct Begun {
    std::shared_ptr<Lease> lease;
    Lease::Turn turn;
  };
  Begun begin(const protocol::Acquire::Held& held, protocol::Instant now,
              protocol::Instant confirmed_until = protocol::never) noexcept;
  bool has_begun() const noexcept { return lease_ == nullptr; }

  /// An exception has left the conversation. Nobody can go on with it, and what the server has of it is unknown.
  void note_broken() noexcept { broken_ = true; }
  bool is_broken() const noexcept { return broken_; }

 private:
  bool left_traces() const noexcept;

  Session& session_;
  const protocol::Key key_;
  const protocol::OwnerId id_;
  std::shared_ptr<Lease> lease_;       // made beforehand: nothing may fail after the grant
  std::chrono::milliseconds longest_;  // for so long the server may keep it in mind
  route::Pushes::MailboxText mailbox_;
  protocol::Acquire machine_;
  engine::Inbox inbox_;
  Places::Place place_;
  engine::Conversation conversation_;
  bool broken_ = false;
};

}  // namespace redismutex::engine
