#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "net/failure.hpp"
#include "net/within.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"

namespace redismutex::route {

using net::Failure;
using net::out_of_memory;
using net::within;

class Server;

/// Something on its way that has to talk to a server, or to wait: an acquisition, a release, a renewal. It has no socket, clock or
/// thread: whoever drives it carries out each Step, and tells what came of it by an Event. A thread drives it on its own stack
/// (route::drive), the reactor's workers drive what nobody waits for (Background), and the simulator drives it in virtual time: it is
/// the same procedure each time. For one driver at a time.
class Procedure {
 public:
  // ---- steps

  /// A connection to this server is needed. `dials`: a new one, if there is none.
  struct Reach {
    protocol::Instant until;
    bool dials = true;
    Server* at = nullptr;  ///< none: the first one that the driver knows
  };

  struct Command {
    protocol::Arguments arguments;
    bool wanted = false;  ///< its answer is to be told; of several, the last one
    int times = 1;        ///< sent so often, one right behind the other
  };

  /// Send these in one write on the connection that was reached, and tell the answers that are wanted when all are there. What it
  /// points to stays until then.
  struct Send {
    std::span<const Command> commands;
    protocol::Instant until;
  };

  /// So many answers can be wanted of one Send; of one that asks about many things at once, so many.
  static constexpr std::size_t most_wanted = 3;
  static constexpr std::size_t most_wanted_of_many = 34;

  /// Go on at that time, or when the procedure is woken.
  struct Sleep {
    protocol::Instant until;
    bool listens = false;  ///< for messages on the connection, and for its end: so it is kept open, and read
  };

  /// The server of the present connection is the wrong one, as this refusal says: no request is to go there any more. Then sleep.
  struct Leave {
    std::string_view refusal;
    Sleep then;
    Failure::Kind kind = Failure::Kind::refused;  ///< see net::Node::drop()
  };

  struct Done {};

  using Step = std::variant<Done, Reach, Send, Sleep, Leave>;

  // ---- events

  /// The connection is there. It has a number of its own.
  struct Reached {
    std::uint64_t link;
  };

  /// There is no connection, or it was found broken before anything was sent.
  struct Unreached {
    Failure failure;
  };

  /// To the commands whose answers are wanted, in their order. Views, of which nothing may be kept.
  struct Answered {
    std::span<const protocol::Answer> answers;
  };

  /// The time was up, the connection broke, or the driver was stopped. Whether the server has carried out what was sent is unknown.
  struct Unanswered {
    Failure failure;
  };

  /// The Sleep is over.
  struct Woken {
    bool link_broke = false;  ///< on which it has listened
  };

  /// Whoever wants it wants it no more: instead of the next Reach, Send or Sleep.
  struct Stopped {};

  using Event = std::variant<Reached, Unreached, Answered, Unanswered, Woken, Stopped>;

  /// `event`: may be taken from. `now`: read right before. For a Send it is the time before the commands leave. After an
  /// exception (std::bad_alloc) it is not driven any more.
  virtual Step start(protocol::Instant now) = 0;
  virtual Step resume(Event&& event, protocol::Instant now) = 0;

  Procedure(const Procedure&) = delete;
  Procedure& operator=(const Procedure&) = delete;

 protected:
  Procedure() = default;
  ~Procedure() = default;
};

}  // namespace redismutex::route
