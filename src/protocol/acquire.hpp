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
#include "protocol/machine.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::protocol {

/// How a lock is to be taken.
struct Terms {
  std::chrono::milliseconds expiry;
  std::optional<Instant> wait_until;  ///< none: one attempt, and no place in line
  std::chrono::milliseconds delay;    ///< how often a waiter looks by itself, should all else fail
  int max_waiters = 10000;
  Fencing fencing = Fencing::without_token;
  std::string_view mailbox = "-";  ///< see Machine::mailbox(); must outlive the machine
  bool expect_line = false;        ///< the lock was taken the last time: do not try the short way first

  /// Of `expiry`, which may be more for the sake of others, its caller needs so much: a lock that comes by an earlier request, for less, is
  /// asked for anew.
  std::chrono::milliseconds needs{0};

  /// What its place in line goes by, where several servers are to have it in the same place: the time since 1970, by their clocks. The
  /// same for as long as the id is. 0: each server's own time, when it lines up there.
  std::chrono::microseconds ticket{0};
};

/// Takes a lock, now or by waiting for it.
///
/// The short way asks and takes in one command: `SET key id NX PX expiry`. The value of a key that somebody else has never
/// comes back, however large. A lock with a fencing token asks for the floor and the time in the same transaction: its token
/// is the time in microseconds. A repeat, and whatever else is not plain (a floor ahead of a clock that was set back,
/// a transaction that is refused), goes by the script, lua/acquire.lua, which recognises the id. A key of another type is an
/// error there, and "taken" for a single try.
///
/// A lock that is taken is waited for in a line on the server, see lua/line.lua. The owner hands it over, and the
/// server wakes us with a Grant. That message is only a hint: a waiter that missed it finds out when it looks by itself,
/// which is every `delay`, at the end of the holder's lease if it is the first in line, and whenever the connection was
/// lost or the key was changed by somebody who knows nothing of the line.
class Acquire final : public Machine {
 public:
  /// `key` and `id` must outlive the machine.
  Acquire(const Key& key, const OwnerId& id, Terms terms);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;
  std::optional<Step> split(Instant now) override;
  const Key* key() const noexcept override { return &key_; }
  Step woken(Instant now) override;
  Step granted(const Grant& grant, Instant now) override;
  void note_grant(const Grant& grant) override;
  Step told_first(std::chrono::milliseconds claim, Instant now) override;
  Step refreshed(Refreshed refreshed, Instant now) override;

  /// Mailboxes are written as in lua/line.lua.
  Step wake_at(std::string_view mailbox) override;
  std::string_view mailbox() const noexcept override { return mailbox_.empty() ? terms_.mailbox : mailbox_; }
  void note_mailbox(std::string_view mailbox) override { mailbox_ = mailbox; }

  /// Another caller goes on with it, or more is wanted of it. The time counts at once, the rest from the next question on, by which
  /// it keeps its place. The mailbox stays as it is. What it ended with, other than Held, is forgotten: see woken().
  void change(const Terms& terms);

  /// Asks anew for a lock that it holds: whoever is ahead of its ticket in line is to have it first, and it goes on waiting with that
  /// ticket; if nobody is, it holds the lock with a full lease. For one of several servers' locks, that the holders of the others might be
  /// waiting for. Only for one that may_wait(), and is Held.
  ///
  /// From now on it is not Held, until an answer says so, or a grant that came after that answer. Should the connection break, it asks
  /// as one that does not yield.
  Step yield();

  /// Whether nobody in line is ahead of it, as far as is known.
  bool is_first() const noexcept { return first_; }

  /// Whether it waits for its turn, rather than try once.
  bool may_wait() const noexcept override { return terms_.wait_until.has_value(); }

  struct Held {
    Instant valid_until;
    std::uint64_t token = 0;  ///< the fencing token; 0: none was wanted
    bool claimed = false;     ///< handed over with a short lease, to be extended soon

    /// The longest lease that was asked for: the server may keep it for so long. Not of one that is handed over.
    std::chrono::milliseconds asked{0};

    /// The token is above the server's clock, which was set back. Those who pass the lock on among themselves must not count
    /// it up then: the server keeps this one in mind, and no higher one.
    bool token_is_ahead = false;

    /// Of a place in line that it may have besides, because the message of the grant crossed with a question; see details().
    std::string details = {};

    /// Before that it was not ours, so far as is known: when the request left, or when it was handed over at the earliest.
    Instant since{};

    /// When it was handed over, if the server's clock and ours run alike: for people, who want to know about when.
    std::optional<Instant> handed_at = {};
  };
  struct Taken {};  ///< by somebody else, until the end
  struct Full {};   ///< so many are waiting already that we may not
  using Outcome = std::variant<Taken, Held, Full, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

  /// Whether this request, which runs its script, asks for a place in line, too.
  static bool lines_up(Arguments request) noexcept { return request[most_waiters_at] != nobody_waits; }

  /// Whether somebody else had the lock at any time: likely so again next time.
  bool met_others() const noexcept { return met_others_; }

  /// How often it was handed to us, and the message lay unread for longer than the lease that comes with it; since it was asked for.
  std::size_t take_claims_lost() noexcept { return std::exchange(claims_lost_, 0); }

  /// Whether the server may know our id although outcome() is not Held, as an owner or in line: release it.
  bool left_traces() const noexcept;

  /// What stands in our place in line behind the id, for giving it up or renewing it.
  const std::string& details() const noexcept { return details_; }

  /// What may stand there still, while the mailbox changes; else empty.
  const std::string& former_details() const noexcept { return was_; }

  /// Whether some attempt to take the lock was never answered.
  bool in_doubt() const noexcept { return in_doubt_; }

 private:
  enum class State { setting, lining_up, waiting, looking, put_off, yielding };

  void adopt(const Terms& terms);
  void adopt_changes();
  void describe_place();
  Step set();
  Step line_up();
  Step ask_to_yield();
  Step send_line_up(std::size_t size);
  Step look();
  Step answered_set(const Answer& answer);
  Step answered_set_with_token(const Answer& answer);
  Step taken();
  Step answered_line_up(const Answer& answer);
  Step placed(const Answer& answer);
  void note_holders_lease(std::int64_t ms, Instant now);
  Step answered_look(const Answer& answer);
  Step wait(Instant now);
  Step held(const Answer& answer, std::uint64_t token);
  Step refused(const Answer& answer);
  bool time_is_up(Instant now) const;
  bool lacks_token(std::uint64_t token) const;
  bool is_too_short() const;

  Terms terms_;
  std::optional<Terms> next_terms_;  // from the next question on
  const Key& key_;
  const std::string_view id_;
  std::chrono::milliseconds longest_{0};  // of the leases that were asked for before
  std::string expiry_ms_;
  std::string window_ms_;
  std::string max_waiters_;
  std::string ticket_;
  std::string mailbox_;
  std::string details_;  // of our place in line
  std::string was_;      // what they were in the place that the server may still have
  std::array<std::string_view, 6> set_;
  std::array<std::string_view, 2> get_floor_;
  std::array<Arguments, 2> floor_and_time_;
  static constexpr std::size_t most_waiters_at = 10;
  static constexpr const char* nobody_waits = "0";
  std::array<std::string_view, 14> line_up_;
  std::array<std::string_view, 2> look_;

  State state_ = State::setting;
  bool in_doubt_ = false;
  bool lined_up_ = false;  // the server knows us as a waiter, or may do so
  bool met_others_ = false;
  std::size_t claims_lost_ = 0;
  bool yielded_ = false;   // and has not heard of its place since
  unsigned put_offs_ = 0;  // in a row
  Outcome outcome_{Taken{}};

  // While waiting:
  bool first_ = false;     // nobody is ahead
  bool watching_ = false;  // the server tells us when somebody changes the key
  Instant first_since_;
  Instant next_refresh_;
  std::optional<Instant> holder_deadline_;    // when the holder's lease ends, if we are the first to profit
  Instant asked_at_;                          // a pair of our time and the server's:
  std::chrono::microseconds server_time_{0};  // it read its clock after we had read ours
  Instant placed_anew_at_ = Instant::min();   // after it had yielded
};

}  // namespace redismutex::protocol
