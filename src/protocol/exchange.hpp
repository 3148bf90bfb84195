#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/instant.hpp"
#include "protocol/script.hpp"

namespace redismutex::protocol {

/// A command and its arguments.
using Arguments = std::span<const std::string_view>;

/// A command to send. The arguments stay valid until the state machine that made it is told what came of it.
struct Request {
  Arguments arguments;
  const Script* script = nullptr;  ///< what to load if the server answers that it does not know it
  std::span<const Arguments> joined =
      {};                           ///< to be carried out with it in one transaction: the answer is a list of all
  Arguments next = {};              ///< another command, right behind it: Answer::next is its answer
  int times = 1;                    ///< sent so often, in one write; the last answer counts
  bool wants_wake_ups = false;      ///< subscribe to our channel first, on a connection that has not done so yet
  bool wants_invalidation = false;  ///< have the server tell us once when the key that this reads is changed
  bool wakes_others = false;        ///< let the server send what it has for them before it answers us
};

/// What the server answered.
struct Answer {
  enum class Type { nothing, text, integer, integers, texts, error, other };

  Type type = Type::nothing;
  std::string_view text;  ///< of a string, a status or an error
  std::int64_t integer = 0;
  std::vector<std::int64_t> integers;                  ///< of a list
  std::vector<std::optional<std::string_view>> texts;  ///< of a list, and of the lists in it; none: nothing is there
  std::int64_t next = 0;                               ///< of Request::next, if that was an integer
  Instant sent_at;                                     ///< read before the request left
  Instant now;
};

/// A refusal of the server.
struct Refusal {
  std::string code;  ///< the word that names its kind, such as OOM or WRONGTYPE: see error_code()
  std::string text;  ///< all of it
};

/// From an answer of type `error`; or, for any other one, says that it is not among those that were possible.
Refusal refusal(const Answer& answer, std::string_view command);

/// The lock was handed to a waiter.
struct Grant {
  std::chrono::milliseconds claim;       ///< the lease it comes with
  std::chrono::microseconds granted_at;  ///< the server's time
  std::uint64_t token;                   ///< the fencing token; 0: none was wanted
  Instant arrived;                       ///< ours, when the message was read from the socket
};

/// What a state machine wants next. A Pause may be cut short by a wake-up.
struct Pause {
  Instant until;
};
struct Done {};
using Step = std::variant<Request, Pause, Done>;

/// The state machines of this layer say what to send to a server and what its answers mean. They have no socket, clock,
/// thread or randomness: whoever drives them carries out each Step and tells them what came of it.
///
///     Step start(now)           the first step; called once
///     Step answered(answer)     the answer to the last Request
///     Step unanswered()         none will come, the connection broke: whether the server carried it out is unknown
///     Step woken(now)           the Pause is over: its time has come, the key was changed, or the connection was lost
///
/// Acquire, the one that waits for others, also has
///
///     Step granted(grant, now)     the Pause was ended by the server: the lock is ours
///     Step told_first(claim, now)  or: nobody is ahead of us any more
///     Step refreshed(now)          or by the driver: our place was renewed together with others
///     Step wake_at(mailbox)        the channel on which the server can reach us is another one, or none
///
/// After Done the machine's outcome() says how it ended. A driver may also stop at any time before.

}  // namespace redismutex::protocol
