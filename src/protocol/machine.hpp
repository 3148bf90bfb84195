#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"

namespace redismutex::protocol {

/// The state machines of this layer say what to send to a server and what its answers mean. They have no socket, clock,
/// thread or randomness: whoever drives them carries out each Step and tells them what came of it.
///
/// After Done the machine's own outcome() says how it ended. A driver may also stop at any time before.
class Machine {
 public:
  /// The first step; called once.
  virtual Step start(Instant now) = 0;

  /// The answer to the last Request.
  virtual Step answered(const Answer& answer) = 0;

  /// None will come, the connection broke: whether the server carried it out is unknown.
  virtual Step unanswered() = 0;

  /// The key that all of it is about, or that shares its slot of a cluster; none: it goes to any server.
  virtual const Key* key() const noexcept { return nullptr; }

  /// The server has refused, because some of the keys have moved to another one and some have not, as while a slot of a cluster moves.
  /// Goes on with a request that names one key. None: the same is to be asked again later.
  virtual std::optional<Step> split(Instant /*now*/) { return std::nullopt; }

  // Of those that wait for others:

  /// Whether it may pause until others have done something, rather than try once.
  virtual bool may_wait() const noexcept { return false; }

  /// The Pause is over: its time has come, the key was changed, or the connection was lost.
  virtual Step woken(Instant /*now*/) { return Done{}; }

  /// Or the server ended it: the lock is ours.
  virtual Step granted(const Grant& /*grant*/, Instant /*now*/) { return Done{}; }

  /// After Done: that had come besides, and is in nobody's hands yet.
  virtual void note_grant(const Grant& /*grant*/) {}

  /// Or nobody is ahead of us any more; the present lease may last for so long.
  virtual Step told_first(std::chrono::milliseconds /*claim*/, Instant /*now*/) { return Done{}; }

  /// Or our place was renewed together with others: see Refresh.
  virtual Step refreshed(Refreshed /*refreshed*/, Instant /*now*/) { return Done{}; }

  /// The channel on which the server reaches us, as it stands in our place in line; empty: this machine has no place.
  virtual std::string_view mailbox() const noexcept { return {}; }

  /// What the channel is called, learnt before any place names it.
  virtual void note_mailbox(std::string_view /*mailbox*/) {}

  /// That channel is another one now, as after a reconnection; "-": there is none, nothing will wake us. Asks again, because the
  /// place names it, and keeps the place. Only in place of answered().
  virtual Step wake_at(std::string_view /*mailbox*/) { return Done{}; }

  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

 protected:
  Machine() = default;
  ~Machine() = default;
};

}  // namespace redismutex::protocol
