#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/wake_ups.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/machine.hpp"
#include "route/environment.hpp"
#include "route/procedure.hpp"
#include "route/pushes.hpp"
#include "route/router.hpp"
#include "route/server.hpp"
#include "route/throttle.hpp"

namespace redismutex::engine {

/// Renews the place in line of a waiter that rests, together with those of others. For the driver's thread.
class PlaceKeeper {
 public:
  /// It rests, and would look by itself at `look_at`. Returns until when it need not; Instant::min(): the place is not renewed for it.
  /// When there is news of the place, it is told by its inbox.
  virtual protocol::Instant rest(protocol::Instant now, protocol::Instant look_at) noexcept = 0;

  /// It is awake, and looks after its place by itself. Returns when it was renewed last, if it was since rest().
  virtual std::optional<protocol::Instant> wake(protocol::Instant now) noexcept = 0;

 protected:
  ~PlaceKeeper() = default;
};

/// A state machine of the protocol layer on its way, to the server where its key lives: subscribes, or loads a script, where that is missing, and
/// repeats what was refused for now.
///
/// A request that is refused by a server that takes none for now, or is the wrong one (protocol::Verdict), is sent again after a
/// pause: until the deadline for a machine that waits anyway, for others for `patience`. The last refusal is then the answer. A
/// machine that waits anyway waits for a server that is away, too; in a cluster others do as well, for `patience`, because another server
/// takes over. Where a cluster's servers send a request on, it goes there at once: the machine hears nothing of that.
///
/// One that waits in line, and has to ask anew because the connection is another one, waits for its turn to ask (route::Throttle): all
/// others have to at the same time.
class Conversation final : public route::Procedure {
 public:
  struct Terms {
    protocol::Instant deadline;
    std::chrono::milliseconds patience;  ///< with a server that refuses, see above
    Inbox* inbox = nullptr;              ///< of a machine that waits for others
    bool dials = true;                   ///< a new connection, if there is none
    bool spares_absent = false;          ///< but not to a server that seems to be away: route::Server::seems_away()
    PlaceKeeper* keeper = nullptr;       ///< with an inbox: of its place in line
    route::Server* at = nullptr;         ///< in place of the one where the machine's key lives
    bool by_lane = false;                ///< there: on the other connection, see route::Server::lane()
  };

  /// What it is given must outlive it.
  Conversation(route::Environment& environment, const route::Router& router, protocol::Machine& machine,
               const Terms& terms)
      : environment_{environment},
        router_{router},
        machine_{machine},
        terms_{terms},
        slot_{router_.slot_for(machine)},
        server_{&router_.server_for(slot_)} {}

  Step start(protocol::Instant now) override;
  Step resume(Event&& event, protocol::Instant now) override;

  /// Another driver goes on with it, also after Done, and may have more time or less. What the one before left unanswered is asked
  /// again, and what came meanwhile is looked at.
  void change_deadline(protocol::Instant deadline) noexcept { terms_.deadline = deadline; }
  Step restart(protocol::Instant now);

  /// After Done: the machine wants something more.
  Step go_on_with(const protocol::Step& step) { return go_on(step); }

  /// After Done: why it gave up. None: the machine is done. The machine then may have an effect that nobody was told of.
  const std::optional<route::Failure>& failure() const noexcept { return failure_; }

  /// Whether something was sent, and no answer has come so far.
  bool is_unanswered() const noexcept { return state_ == State::asking || state_ == State::loading; }

  /// The server that the last request went to, and the connection; 0: none was reached.
  route::Server& server() const noexcept { return *server_; }

  /// Whose word the answer is: that server's; or, if it was asked this once only, that of the one that has the slot and has sent the request there.
  route::Server& authority() const noexcept { return *authority_; }

  /// Whether that server was asked this once, though the key is to move there only: it tells of no changes to it then.
  bool asks_once() const noexcept { return asks_once_; }
  std::uint64_t link() const noexcept { return link_; }

  /// Of the request under way: why it was not answered so far, such as a server that is away.
  const std::optional<route::Failure>& trouble() const noexcept { return trouble_; }

 private:
  enum class State { reaching, queueing, asking, loading, pausing, resting, done };

  Step on(route::Procedure::Reached& reached, protocol::Instant now);
  Step on(route::Procedure::Unreached& unreached, protocol::Instant now);
  Step on(route::Procedure::Answered& answered, protocol::Instant now);
  Step on(route::Procedure::Unanswered& unanswered, protocol::Instant now);
  Step on(route::Procedure::Woken& woken, protocol::Instant now);
  Step on(route::Procedure::Stopped& stopped, protocol::Instant now);

  Step go_on(const protocol::Step& step);
  Step go_on(const protocol::Request& request);
  Step reach();
  Step reach_server();
  protocol::Instant reach_until() const;
  bool may_be_replaced() const noexcept;
  Step refused(const protocol::Answer& answer, protocol::Instant now);
  Step redirected(const protocol::Answer& answer, protocol::Instant now);
  bool asks_with_others() const noexcept;
  Step queue_up(protocol::Instant now);
  Step look_at_queue(bool link_broke, protocol::Instant now);
  Step prepare(protocol::Instant now);
  void want_pushes();
  std::size_t note_opened(std::span<const protocol::Answer> answers);
  Step ask(protocol::Instant now);
  Step load(protocol::Instant now);
  Step take_in(std::span<const protocol::Answer> answers, protocol::Instant now);
  Step tell(const protocol::Answer& answer);
  Step rest(const protocol::Pause& pause);
  std::optional<protocol::Step> wake_up(protocol::Instant now);
  Step take_mail(bool link_broke, protocol::Instant now);
  Step wait_out(protocol::Instant now, std::string_view leaves);
  Step give_up_waiting();
  bool may_go_by(const route::Failure& failure);
  Step fail(route::Failure failure);

  void add(protocol::Arguments arguments, bool wanted = false);
  void add_opening();
  void add_request();
  void add_asking();
  void begin_commands(protocol::Instant now);
  Step send();

  // The most in one write: the scripts, and those of a request. One of many has room of its own.
  static constexpr std::size_t most_commands = 12;

  route::Environment& environment_;
  const route::Router router_;
  protocol::Machine& machine_;
  Terms terms_;

  const std::uint16_t slot_;
  route::Server* server_;  // that the last request went to, or the present one goes to
  route::Server* authority_ = server_;
  bool asks_once_ = false;     // there, because another server has said so of the slot that is about to move
  unsigned redirections_ = 0;  // of the present request, in a row
  std::size_t seeds_tried_ = 1;

  State state_ = State::reaching;
  State failed_in_ = State::done;
  protocol::Request request_;
  std::uint64_t link_ = 0;
  std::uint64_t answered_link_ = 0;             // where the machine was told an answer the last time
  std::optional<route::Throttle::Entry> turn_;  // to ask, or a place in the queue for it
  std::optional<route::Pushes::Use> channel_;   // of one that waits for messages
  bool guesses_mailbox_ = !server_->pushes().knows_mailbox();
  protocol::Instant sent_at_;
  std::optional<route::Failure> failure_, trouble_;

  // Refusals of the present request that are waited out.
  unsigned pauses_ = 0;
  protocol::Instant pauses_until_ = protocol::Instant::max();
  bool last_pause_ = false;

  // What is being asked for.
  route::Pushes::Wanted wanted_;  // with the request under way
  std::array<std::string_view, 2> subscribe_, unsubscribe_;
  std::array<std::array<std::string_view, 3>, 4> loads_;
  std::array<Command, most_commands> commands_;
  std::size_t command_count_ = 0;
  std::vector<Command> many_;  // in place of these, for a request of many
};

}  // namespace redismutex::engine
