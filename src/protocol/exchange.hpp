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
      {};  ///< to be carried out with it in one transaction: the answer is a list of all
  std::span<const Arguments> more =
      {};                   ///< other commands, right behind it, in one write: Answer::more are their answers
  Arguments next = {};      ///< another command, behind all of these: Answer::next is its answer
  bool needs_next = false;  ///< a refusal of `next` is the answer
  int times = 1;            ///< sent so often, in one write; the last answer counts
  bool wants_wake_ups =
      false;  ///< subscribe to our channel first, on a connection that has not done so yet; not with others behind it
  bool wants_invalidation = false;  ///< have the server tell us once when the key that this reads is changed
  bool wakes_others = false;        ///< let the server send what it has for them before it answers us
};

/// One of the values of a list. A list among them is followed by its elements.
struct Value {
  enum class Type : std::uint8_t { nothing, text, integer, list, other };

  Type type = Type::nothing;
  std::string_view text = {};
  std::int64_t integer = 0;  ///< of a list: how many elements it has
};

/// What the server answered.
struct Answer {
  enum class Type { nothing, text, integer, integers, texts, values, error, other };

  Type type = Type::nothing;
  std::string_view text;  ///< of a string, a status or an error
  std::int64_t integer = 0;
  std::vector<std::int64_t> integers;                  ///< of a list
  std::vector<std::optional<std::string_view>> texts;  ///< of a list, and of the lists in it; none: nothing is there
  std::vector<Value> values;                           ///< of a list that is neither
  std::span<const Answer> more = {};                   ///< to Request::more, in the same order; none: there are none
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

/// What became of a waiter's place in line, that was renewed together with those of others.
enum class Refreshed {
  no_place,  ///< there is none any more, perhaps the lock is its own; or the lock is free: it has to ask
  renewed,   ///< it counts as alive for longer
  first,  ///< the same, and it is the first in line: it has to ask when the present lease ends, if it does not know that yet
};

/// What a state machine wants next. A Pause may be cut short by a wake-up.
struct Pause {
  Instant until;
  Instant at_latest = Instant::min();  ///< until then instead, as long as others renew the place in line: see Refresh
};
struct Done {};
using Step = std::variant<Request, Pause, Done>;

}  // namespace redismutex::protocol
