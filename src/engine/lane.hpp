#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/options.hpp>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "engine/setting.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/slot.hpp"
#include "route/list.hpp"
#include "route/procedure.hpp"
#include "route/server.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

class LaneFlight;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

/// Those who wait until replicas of one server have received what was written of their locks. They are asked in groups: whoever comes while
/// nobody asks, asks for all that are there by then (it leads), on a connection that is used for nothing else; meanwhile the next gather. So
/// however many there are, they wait for one or two answers. Belongs to shared_ptrs. Thread-safe.
///
/// Source: DeWitt et al., "Implementation techniques for main memory database systems", 1984 (group commit).
class Lane : public std::enable_shared_from_this<Lane> {
 public:
  /// `server` must outlive it.
  Lane(Setting setting, route::Server& server) : setting_{std::move(setting)}, server_{server} {}
  ~Lane() = default;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  const Setting& setting() const noexcept { return setting_; }
  route::Server& server() const noexcept { return server_; }

  /// A lock.
  struct Item {
    protocol::Key key;
    protocol::OwnerId id;
    protocol::Instant lasts_until;  ///< by what is to be confirmed
    /// Afterwards: the server that was asked has it for this id until then for sure. None: it does not have it, or not for as long.
    std::optional<protocol::Instant> there_until{};
  };

  /// What is to be confirmed of it.
  struct Terms {
    Replicas replicas;
    protocol::Instant until;                 ///< an answer after that is of no use
    std::uint16_t slot = protocol::no_slot;  ///< of the items
  };

  /// Why nobody could say how many have it.
  using Trouble = std::variant<protocol::Refusal, route::Failure>;

  /// One that waits for some locks at once.
  class Member : private route::Listed<Member> {
   public:
    /// What it is given must outlive it. `may_lead`: it can be asked to drive a LaneFlight. The waker is called with a lock held, when its
    /// state has changed; after that it may be destroyed.
    Member(std::span<Item> items, const Terms& terms, route::Waker& waker, bool may_lead) noexcept
        : items_{items}, terms_{terms}, waker_{waker}, may_lead_{may_lead} {}
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

    enum class State : std::uint8_t {
      outside,
      waiting,
      leads,  ///< it is to drive a LaneFlight
      asked,  ///< for it, by whoever leads
      over,
    };

    /// Those with whom it is asked for.
    enum class Company : std::uint8_t {
      any,
      of_its_slot,  ///< which is on the way to another server
      none,         ///< the server has refused a command that was of several
    };

    const Terms& terms() const noexcept { return terms_; }

    /// Whether enough have it; once it is over. Which of the locks are there stands in the items.
    bool is_confirmed() const noexcept { return !trouble_ && wanted_ > 0 && had_ >= wanted_; }

    /// Why it is not: what the server said, or that too few had it, in words. After it was over, or has left.
    Trouble why_not(std::chrono::milliseconds waited) const;

   private:
    friend class Lane;
    friend class LaneFlight;
    friend class route::List<Member>;

    const std::span<Item> items_;
    const Terms terms_;
    route::Waker& waker_;
    const bool may_lead_;

    // Guarded by the lane's mutex until it is over.
    State state_ = State::outside;
    std::size_t first_ = 0;  // of its items, among all that are asked for
    Company company_ = Company::any;
    std::int64_t had_ = 0;
    // 0: it is not known how many that are.
    std::int64_t wanted_ = terms_.replicas.kind() == Replicas::Kind::number ? terms_.replicas.count() : 0;
    std::shared_ptr<const Trouble> trouble_;
    // What the server said to a command of several, of which this was one.
    std::shared_ptr<const Trouble> refused_;
  };

  /// It may lead at once; one that may not lead may be over at once.
  void enter(Member& member) noexcept;

  Member::State look(const Member& member);

  /// Wherever it is: it is not woken any more. Another leads if it was to.
  void leave(Member& member) noexcept;

 private:
  friend class LaneFlight;
  class Errand;

  /// What is to be done when the lock is free.
  struct Next {
    route::Waker::Rest rest;
    bool in_background = false;  // there a LaneFlight is to be started
  };

  bool has_to_count(const Member& member, protocol::Instant now) const noexcept;
  bool go_together(const Member& one, const Member& other, protocol::Instant now) const noexcept;
  Member* next_of_others(const Member* back, protocol::Instant now) const noexcept;
  Next hand_on(const Member* back = nullptr) noexcept;
  void carry_out(const Next& next) noexcept;
  void give_up(std::string_view why) noexcept;
  route::Waker::Rest settle(Member& member, const std::shared_ptr<const Trouble>& trouble) noexcept;
  std::int64_t wanted_by(const Member& member) const noexcept;

  const Setting setting_;
  route::Server& server_;

  std::mutex mutex_;  // guards what follows; before those of wakers
  route::List<Member> waiting_;
  route::List<Member> asked_;
  bool is_led_ = false;
  Member* leader_ = nullptr;              // none: it is led in the Background, or not at all
  std::optional<std::int64_t> replicas_;  // that are configured
  protocol::Instant counted_at_ = protocol::Instant::min();
};

/// The lanes of a Session's servers. Thread-safe.
class Lanes {
 public:
  explicit Lanes(const Setting& setting) noexcept : setting_{setting} {}

  /// That of the server which has the key at present; made at its first use. Throws std::bad_alloc.
  std::shared_ptr<Lane> of(const protocol::Key& key);

 private:
  const Setting& setting_;
  std::mutex mutex_;
  std::unordered_map<const route::Server*, std::shared_ptr<Lane>> lanes_;
};

}  // namespace redismutex::engine
