#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/exchange.hpp"
#include "protocol/fencing.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::protocol {

/// How a lock is to be taken.
struct Terms {
  std::chrono::milliseconds expiry;
  std::optional<Instant> wait_until;  ///< none: one attempt, and no place in the queue
  std::chrono::milliseconds delay;    ///< how often a waiter looks by itself, should all else fail
  int max_waiters = 10000;
  Fencing fencing = Fencing::without_token;
  std::string_view mailbox = "-";  ///< see Acquire::wake_at
  bool expect_queue = false;       ///< the lock was taken the last time: do not try the short way first
};

/// Takes a lock, now or by waiting for it.
///
/// The short way asks and takes in one command: `SET key id NX GET PX expiry`. GET makes it safe to repeat after a lost
/// answer, because a lock that the first attempt took is recognised by its id; and it makes a key of another type an
/// error rather than a lock that never gets free. (NX with GET needs Redis 7.0 or Valkey.) With a fencing token it is a
/// script, lua/acquire.lua, which is as repeatable.
///
/// A lock that is taken is waited for in a queue on the server, see lua/acquire.lua. Who holds it hands it over, and the
/// server wakes us with a Grant. That message is only a hint: a waiter that missed it finds out when it looks by itself,
/// which is every `delay`, at the end of the holder's lease if it is the first in line, and whenever the connection was
/// lost or the key was changed by somebody who knows nothing of the queue.
class Acquire {
 public:
  /// `key` and `id` must outlive the machine.
  Acquire(const Key& key, const OwnerId& id, Terms terms);
  Acquire(const Acquire&) = delete;
  Acquire& operator=(const Acquire&) = delete;

  Step start(Instant now);
  Step answered(const Answer& answer);
  Step unanswered();
  Step woken(Instant now);
  Step granted(const Grant& grant, Instant now);

  /// The channel on which the server reaches us is another one, as after a reconnection; "-": there is none, nothing will
  /// wake us. Asks again, because the place in the queue names it.
  Step wake_at(std::string_view mailbox);
  std::string_view mailbox() const noexcept { return mailbox_; }

  /// Whether it waits for its turn, rather than try once.
  bool may_wait() const noexcept { return terms_.wait_until.has_value(); }

  struct Held {
    Instant valid_until;
    std::uint64_t token = 0;  ///< the fencing token; 0: none was wanted
    bool claimed = false;     ///< handed over with a short lease, to be extended soon
  };
  struct Taken {};  ///< by somebody else, until the end
  struct Full {};   ///< so many are waiting already that we may not
  using Outcome = std::variant<Taken, Held, Full, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

  /// Whether somebody else had the lock at any time: likely so again next time.
  bool met_others() const noexcept { return met_others_; }

  /// Whether the server may know our id although outcome() is not Held, as an owner or in the queue: release it.
  bool left_traces() const noexcept;

  /// Whether some attempt to take the lock was never answered.
  bool in_doubt() const noexcept { return in_doubt_; }

 private:
  enum class State { setting, queueing, waiting, looking };

  Step set();
  Step line_up();
  Step look();
  Step answered_set(const Answer& answer);
  Step answered_line_up(const Answer& answer);
  Step placed(const Answer& answer);
  Step answered_look(const Answer& answer);
  Step wait(Instant now);
  Step held(const Answer& answer, std::uint64_t token);
  Step refused(const Answer& answer);
  bool time_is_up(Instant now) const;

  Terms terms_;
  const std::string_view id_;
  const std::string expiry_ms_;
  const std::string window_ms_;
  const std::string max_waiters_;
  std::string mailbox_;
  const std::array<std::string_view, 7> set_;
  std::array<std::string_view, 11> line_up_;
  const std::array<std::string_view, 2> look_;

  State state_ = State::setting;
  bool in_doubt_ = false;
  bool lined_up_ = false;  // the server knows us as a waiter, or may do so
  bool met_others_ = false;
  Outcome outcome_{Taken{}};

  // While waiting:
  bool first_ = false;     // nobody is ahead
  bool watching_ = false;  // the server tells us when somebody changes the key
  Instant first_since_;
  Instant next_refresh_;
  std::optional<Instant> holder_deadline_;    // when the holder's lease ends, if we are the first to profit
  Instant asked_at_;                          // a pair of our time and the server's:
  std::chrono::microseconds server_time_{0};  // it read its clock after we had read ours
};

}  // namespace redismutex::protocol
