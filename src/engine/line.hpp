#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/approach.hpp"
#include "engine/lease.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "route/list.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

class Session;

/// The lines of one process: the threads and operations that want the same key, in the order of their arrival. Only the first of each
/// line is at the server; the lock then passes from one to the next without the network. Thread-safe; nothing here waits.
///
/// Source: Dice, Marathe, Shavit, "Lock Cohorting", PPoPP 2012.
///
/// A shard's mutex comes before those of Lease, Renewer and WakeUps.
class Lines final : private Lease::Successor {
  struct Line;
  struct Shard;
  static constexpr std::size_t shard_count = 4;  // those who want different keys seldom meet

 public:
  /// `session` must outlive it. What is not let go of by then is left as it is.
  explicit Lines(Session& session);
  ~Lines();
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  /// Of the one that is at the server, or that has the lock. It stays harmless when the line has gone on without it. 0: of one that
  /// stands in no line.
  struct Ticket {
    std::uint64_t number = 0;

    explicit operator bool() const noexcept { return number != 0; }
  };

  /// One that stands in line. It is in place until its turn comes, or it withdraws.
  class Member : private route::Listed<Member> {
   public:
    /// All of them must outlive it.
    Member(const protocol::Key& key, const Wishes& wishes, route::Waker& waker)
        : key_{key}, wishes_{wishes}, waker_{waker} {}
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

    enum class State : std::uint8_t {
      outside,
      waiting,
      first,   ///< its turn to go to the server: with `approach`, if there is one to go on with
      passed,  ///< it has the lock: `lease` and `turn`
    };

    /// Once it is `first` or `passed` only the member itself changes what follows. It is woken for that.
    State state() const noexcept { return state_.load(std::memory_order_acquire); }

    Ticket ticket;
    PlaceTerms place{};
    std::unique_ptr<Approach> approach;
    std::shared_ptr<Lease> lease;
    Lease::Turn turn = 0;

   private:
    friend class Lines;
    friend class route::List<Member>;

    const protocol::Key& key_;
    const Wishes& wishes_;
    route::Waker& waker_;
    std::atomic<State> state_{State::outside};
    std::atomic<bool> place_changed_{false};  // while it is first
    Line* line_ = nullptr;                    // while it waits, or is first
  };

  /// Lines up; it may be first at once. Throws std::bad_alloc.
  void enter(Member& member);

  /// The same for one that was passed a lease which had ended by then: in front of all others.
  void enter_again(Member& member);

  /// After it was woken: its state, which may not be seen yet without the lock.
  Member::State look(const Member& member);

  /// What is known in the line of the lock.
  struct Known {
    bool met_others = false;                          ///< somebody has, or had, the lock
    std::shared_ptr<const route::Failure> trouble{};  ///< why the first gets no answer at present
  };

  /// Gives up waiting. Nothing: its turn has come meanwhile.
  std::optional<Known> withdraw(Member& member);

  /// How many are ahead of it, with the one that has the lock, or is at the server. Takes the longer the more there are.
  std::size_t ahead(const Member& member);

  // ---- by the one that is first

  void tell(const Member& first, Known known);

  /// What the place is to be like now, if that has changed.
  std::optional<PlaceTerms> changed_place(Member& first);

  /// It has got the lock.
  void granted(Member& first, const std::shared_ptr<Lease>& lease, protocol::Instant now);

  /// It gives up, and leaves its approach to the next; if nobody is there, it has it back. None: the next begins anew.
  std::unique_ptr<Approach> give_up(Member& first, std::unique_ptr<Approach> approach) noexcept;

  // ---- by the one that has the lock

  enum class Pass {
    passed,
    nobody_there,
    not_possible,  ///< the server has to decide
    read_first,    ///< call Background::take_in_pushes() and Server::note_read(), then ask again
    extend_first,  ///< the answer of an extension has to be there: to `expiry`
  };
  struct Passing {
    Pass what;
    std::chrono::milliseconds expiry{0};
  };
  enum class Extended { not_yet, just_now };

  /// Passes the lock to the next, if that is fair to those who wait at the server, and what is known of the lock is fresh.
  Passing pass(const Ticket& ticket, const std::shared_ptr<Lease>& lease, Extended extended,
               protocol::Instant now) noexcept;

  /// It has the lock no more: the next goes to the server.
  void leave(const protocol::Key& key, const Ticket& ticket) noexcept;

 private:
  using Map = std::unordered_map<protocol::Key, Line, protocol::Key::Hash>;

  void lease_is_over(Lease& lease, Lease::Turn turn) noexcept override;
  void have_watched(const std::shared_ptr<Lease>& lease) noexcept;
  template <class IsMeant>
  void vacate(const protocol::Key& key, const IsMeant& is_meant) noexcept;
  Shard& shard_of(const protocol::Key& key) noexcept;

  Session& session_;
  const std::unique_ptr<std::array<Shard, shard_count>> shards_;
};

}  // namespace redismutex::engine
