#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "protocol/exchange.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "route/environment.hpp"
#include "route/list.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

class Inbox;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

/// Brings the server's pushes to those who wait: messages by owner id, changes of a key by key. A push costs the same however
/// many others wait. Thread-safe.
class WakeUps final {
 public:
  /// Times of arrival are the environment's.
  explicit WakeUps(route::Environment& environment = route::operating_system()) noexcept : environment_{environment} {}
  WakeUps(const WakeUps&) = delete;
  WakeUps& operator=(const WakeUps&) = delete;

  /// A message on our channel. What lua/line.lua does not send is ignored.
  void deliver(std::string_view message);

  /// What became of a waiter's place, which was renewed together with others.
  void place_refreshed(const protocol::OwnerId& id, protocol::Refreshed place);

  /// Somebody changed the key, or all of them; or there is another reason to look.
  void key_changed(std::string_view key);
  void all_changed();

  /// There is a reason to look at all keys of a slot; protocol::no_slot: at all.
  void slot_changed(std::uint16_t slot);

 private:
  friend class Inbox;

  // The library searches small maps key by key, which is slow where they are not in this processor's cache, if it takes the
  // hash for slow; and that it does for its own hash of strings only.
  struct Hash : std::hash<std::string_view> {};

  /// The inboxes of those who wait for one key. One that leaves is not searched for.
  struct SameKey {
    protocol::Key key;  // has the text that this is found by
    route::List<Inbox> waiters;
  };

  void add(Inbox& inbox);
  void remove(Inbox& inbox) noexcept;
  static void note_change(const SameKey& same) noexcept;

  route::Environment& environment_;

  std::mutex mutex_;  // guards the rest
  std::unordered_map<std::string_view, Inbox*, Hash> by_id_;
  std::unordered_map<std::string_view, SameKey, Hash> by_key_;
};

/// What came for a waiter.
struct Mail {
  std::optional<protocol::Grant> grant;
  std::optional<std::chrono::milliseconds>
      first;                                     ///< nobody is ahead any more; the present lease may end after so long
  std::optional<protocol::Refreshed> refreshed;  ///< its place was renewed together with others
  bool changed = false;                          ///< somebody changed the key, or there is another reason to look

  bool empty() const noexcept { return !grant && !first && !refreshed && !changed; }
};

/// One waiter's. What comes is kept in it from open() on. For one thread at a time, beside those that bring something.
///
/// In a child of fork() it stays empty: what it would be told of is the parent's.
class Inbox final : public route::Waker, private route::Listed<Inbox> {
 public:
  /// `id` belongs to no other inbox; `waker` is called from open() on, after something was put in, until the inbox is destroyed, or
  /// has another waker. All of them must outlive it.
  Inbox(WakeUps& wake_ups, const protocol::Key& key, const protocol::OwnerId& id, route::Waker& waker);
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  /// To be called before the server is asked to send anything; the second time it does nothing. Throws std::bad_alloc.
  void open();

  /// From now on another one is to be woken. The one before is not called any more when this returns.
  void change_waker(route::Waker& waker) noexcept;

  bool empty() const;

  /// What take() would return of it.
  std::optional<protocol::Grant> grant() const;

  /// Empties it.
  Mail take();

  /// Those who wait for keys of this slot may not be reached: they are to look.
  void note_channel_ended(std::uint16_t slot);

  /// There is other news than mail. After open().
  void wake() noexcept override;

 private:
  friend class WakeUps;
  friend class route::List<Inbox>;

  bool is_reached() const noexcept;

  WakeUps& wake_ups_;
  const protocol::Key& key_;
  const std::string_view id_;
  const std::uint64_t fork_generation_ = route::fork_generation();
  bool open_ = false;  // belongs to the owner

  // These are guarded by WakeUps::mutex_.
  route::Waker* waker_;
  Mail mail_;
};

}  // namespace redismutex::engine
