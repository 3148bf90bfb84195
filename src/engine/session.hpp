#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <redismutex/observer.hpp>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/caretaker.hpp"
#include "engine/clock.hpp"
#include "engine/identity.hpp"
#include "engine/keeper.hpp"
#include "engine/local_queues.hpp"
#include "engine/mailroom.hpp"
#include "engine/pushes.hpp"
#include "net/failure.hpp"
#include "net/fork.hpp"
#include "net/link.hpp"
#include "net/node.hpp"
#include "net/pause.hpp"
#include "net/poll.hpp"
#include "net/reactor_on_demand.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/release.hpp"

namespace redismutex::engine {

/// What all copies of a Connection share: the server, and the threads for what happens while no caller is there.
class Session {
 public:
  explicit Session(ConnectionOptions options);

  /// Does what errands are due, all of them together within the patience of one operation.
  ~Session();

  /// What came of one request.
  struct Answered {
    net::Reply reply;
    protocol::Instant sent_at;
    net::Reply next = {};  ///< of protocol::Request::next
  };
  struct Unanswered {
    net::Failure failure;  ///< it was sent, and no answer came: whether the server carried it out is unknown
  };
  using Exchanged = std::variant<Answered, Unanswered, net::Failure>;

  /// Sends one request and waits for its answer; subscribes, or loads a script, where that is missing. The Failure means
  /// that it was not sent, because no connection could be had. `used` is where it went.
  Exchanged exchange(const protocol::Request& request, net::Deadline deadline, const std::stop_token& stop,
                     std::shared_ptr<net::Link>& used);

  /// Drives a state machine of the protocol layer until it is done, or gives up with the reason. The machine then may
  /// have an effect that nobody was told of. One that waits for others needs a box for their messages, and calls `on_wait`
  /// each time it has to.
  ///
  /// A request that is refused by a server that takes none for now, or is the wrong one (protocol::Verdict), is repeated
  /// after a pause: until the deadline by a machine that waits anyway, by others for connect_timeout. The last refusal is
  /// then the answer. A machine that waits anyway waits for a server that is away, too.
  template <class Machine>
  std::optional<net::Failure> run(Machine& machine, net::Deadline deadline, const std::stop_token& stop = {},
                                  Mailroom::Box* box = nullptr, const std::function<void()>& on_wait = {});

  /// Sends a request that nobody waits for: `call` is told when it is over. Returns the link that it went to; none if there is no
  /// connection.
  std::shared_ptr<net::Link> post(const protocol::Request& request, net::Call& call);

  /// The live connection, see net::Node::link.
  std::variant<std::shared_ptr<net::Link>, net::Failure> link(net::Deadline deadline, const std::stop_token& stop);

  /// The tag of our ids. The first time it reaches for the server, whose number of the connection becomes part of it; without
  /// a server it is random. The Failure means that the time is up, that the caller was stopped, or that trying again is of no use.
  std::variant<protocol::Tag, net::Failure> tag(net::Deadline deadline, const std::stop_token& stop);

  /// For a server that said it does not know the one that is `wanted`: it has forgotten them all, or never had them.
  static void load_scripts(net::Link& link, const protocol::Script& wanted, net::Call& loaded);

  /// Once, and only if there is a log to write to: looks in the background whether the server is set up for locks.
  void survey() noexcept;

  /// Starts the threads that renew leases and tell of losses. Throws std::system_error if one is not to be had.
  void watch_over_leases();

  /// To the user's log, if there is one: with the server's name in front, or a sentence that has it already.
  void log(const std::string& message) const noexcept;
  void tell_log(std::string_view sentence) const noexcept;

  /// The command of the present server's own that deletes a key which still has a certain value; by the script where it has
  /// none, or has refused it on the present connection.
  protocol::Release::Deletion deletion();
  void note_deletion_refused();

  /// How the server wakes our waiters: see Pushes. Another one on each connection.
  std::string mailbox() { return pushes_.mailbox(); }
  Mailroom& mailroom() noexcept { return mailroom_; }

  /// The threads of this process that want the same key.
  LocalQueues& local_queues() noexcept { return local_queues_; }

  /// Whether the key was taken the last time that one of us wanted it. A hint: keys may share one.
  std::atomic<bool>& contended(const protocol::Key& key) noexcept;

  /// Throws ConnectionError or ServerError when the server gives no sign of life.
  void ping();

  /// How long an operation that has no time limit of its own may take: to reach the server and to get an answer.
  net::Deadline patience() const;

  const std::string& server_name() const noexcept { return node_.name(); }

  /// Whether it is a parent's, and this process only a child of fork(): then it is not to be touched.
  bool inherited() const noexcept { return generation_ != net::fork_generation(); }

  /// Whether the caller is one of the threads that it may wait for when it ends.
  bool runs_this_thread() const noexcept { return reactor_.runs_this_thread(); }

  /// The process's. The first time it throws std::system_error if there is no thread or no descriptor to be had.
  net::Reactor& reactor() { return reactor_.get(); }

  /// For what must happen on time.
  Keeper& timers() noexcept { return timers_; }

  /// For what may take its time, such as giving back a lock in the background while the server is away.
  Keeper& errands() noexcept { return errands_; }

  /// For requests that are sent on time and not waited for: here nothing blocks, and no user code runs.
  Keeper& posts() noexcept { return posts_; }

  /// For locks that are held for long.
  Caretaker& caretaker() noexcept { return caretaker_; }

  /// None if nobody wants to be told.
  Observer* observer() const noexcept { return node_.options().observer.get(); }

 private:
  /// The refusals that one run waits out.
  class Refusals {
   public:
    /// `longest`: from the first one on, and not beyond the deadline; none: until the deadline.
    Refusals(net::Deadline deadline, std::optional<std::chrono::milliseconds> longest)
        : until_{deadline}, longest_{longest} {}

    enum class Next { ask_again, give_up, stopped };

    /// After one more. Sleeps, with nothing held that others need.
    Next pause(const std::stop_token& stop);

   private:
    net::Deadline until_;
    std::optional<std::chrono::milliseconds> longest_;
    unsigned count_ = 0;
  };

  template <class Machine>
  Refusals refusals(const Machine& machine, net::Deadline deadline) const;
  template <class Machine>
  protocol::Step step_after(const protocol::Request& request, const protocol::Answer& answer, Machine& machine);

  /// The refusal, if it is one after which the same request may be sent again, to a server that takes it. Leaves the one
  /// behind `link` if that is not it.
  std::optional<net::Failure> refusal_to_wait_out(const protocol::Answer& answer,
                                                  const std::shared_ptr<net::Link>& link);

  /// Whether the same request may be sent again after a pause, nothing having been carried out. Who waits anyway waits for a
  /// server that is away, too; others are told of that at once.
  bool may_go_by(const net::Failure& failure, bool may_wait);
  void note_presence();
  void leave(const std::shared_ptr<net::Link>& link, std::string_view refusal);
  void take_push(net::ReplyView push);
  struct Calls {
    net::BlockingCall* main;
    net::BlockingCall* next;  ///< for protocol::Request::next
  };
  net::Link::Waited send_and_wait(const protocol::Request& request, net::Link& link, Calls calls,
                                  net::Deadline deadline, const std::stop_token& stop);
  void send(const protocol::Request& request, net::Link& link, net::Call* main, net::Call* next) const;
  void open_pushes(net::Link& link, net::Deadline deadline, const std::stop_token& stop);
  void note_means(Pushes::Next next, std::size_t means, std::string_view error);
  std::string name_connection(const net::Greeting& greeting);

  const std::uint64_t generation_ = net::fork_generation();
  net::ReactorOnDemand reactor_;
  std::atomic<net::Deadline> farewell_{net::Deadline::max()};  // nothing takes longer than until then
  Mailroom mailroom_;
  Pushes pushes_;
  Identity identity_;
  Caretaker caretaker_;  // is told of pushes, and of broken links
  net::Node node_;
  LocalQueues local_queues_;
  std::array<std::atomic<bool>, 256> contended_{};

  std::atomic<bool> surveyed_{false};
  std::atomic<bool> absence_told_{false};
  std::array<std::atomic<bool>, 2> refusals_told_{};  // of each of the means of pushes_
  std::atomic<protocol::Instant> left_a_server_{protocol::Instant::min()};
  std::atomic<std::uint64_t> deletion_refused_link_{0};  // the one on which the server's own deletion was refused

  // Last, so that what runs in the background ends before what it uses. The caretaker is stopped before them: it uses the timers.
  // Posts leave errands behind.
  Keeper timers_{reactor_, Keeper::Place::workers};
  Keeper errands_{reactor_, Keeper::Place::workers};
  Keeper posts_{reactor_, Keeper::Place::reactor};
};

namespace detail {
/// The answer in the protocol layer's terms; a view of the reply.
protocol::Answer view(const Session::Answered& answered);
}  // namespace detail

/// Whether its caller lets it wait for others.
template <class Machine>
bool may_wait(const Machine& machine) {
  if constexpr (requires { machine.may_wait(); }) return machine.may_wait();
  return false;
}

template <class Machine>
Session::Refusals Session::refusals(const Machine& machine, net::Deadline deadline) const {
  if (may_wait(machine)) return {deadline, std::nullopt};
  return {deadline, node_.options().connect_timeout};
}

/// To be called for an answer that is not waited out.
template <class Machine>
protocol::Step Session::step_after(const protocol::Request& request, const protocol::Answer& answer, Machine& machine) {
  if constexpr (requires { machine.mailbox(); }) {
    // Also after a look at the key: it may have been the first request on its connection, where nobody can reach us yet.
    const bool may_be_woken = request.wants_wake_ups || request.wants_invalidation;
    const std::string present_mailbox = may_be_woken ? mailbox() : std::string{};
    if (may_be_woken && present_mailbox != machine.mailbox()) return machine.wake_at(present_mailbox);
  }
  return machine.answered(answer);
}

template <class Machine>
std::optional<net::Failure> Session::run(Machine& machine, net::Deadline deadline, const std::stop_token& stop,
                                         Mailroom::Box* box, const std::function<void()>& on_wait) {
  constexpr bool waits = requires(const protocol::Grant& grant) { machine.granted(grant, now()); };
  const net::Failure cancelled{net::Failure::Kind::cancelled, "cancelled"};
  Refusals refusals = this->refusals(machine, deadline);
  std::optional<net::Failure> last;  // why the present request was not answered: to be reported when the time is up
  std::shared_ptr<net::Link> link;
  protocol::Step step = machine.start(now());
  for (;;) {
    if (std::holds_alternative<protocol::Done>(step)) return std::nullopt;
    if constexpr (waits) {
      if (const auto* rest = std::get_if<protocol::Pause>(&step)) {
        on_wait();
        net::Link::Waited how{};
        const Mailroom::Mail mail =
            mailroom_.wait(*box, *link, std::min(deadline_at(rest->until), deadline), stop, how);
        if (how == net::Link::Waited::stopped) return cancelled;
        if (how == net::Link::Waited::broken)
          link.reset();  // its descriptor is not to stay open for as long as we wait
        if (mail.grant) {
          step = machine.granted(*mail.grant, now());
        } else if (mail.first && !mail.changed && how == net::Link::Waited::done) {
          step = machine.told_first(*mail.first, now());
        } else {
          step = machine.woken(now());
        }
        continue;
      }
    }
    const auto& request = std::get<protocol::Request>(step);
    if (stop.stop_requested()) return cancelled;
    if (box != nullptr && (request.wants_wake_ups || request.wants_invalidation)) box->open();
    Exchanged exchanged = exchange(request, deadline, stop, link);
    if (auto* unanswered = std::get_if<Unanswered>(&exchanged)) {
      step = machine.unanswered();
      link.reset();
      if (unanswered->failure.kind != net::Failure::Kind::unreachable) return std::move(unanswered->failure);
      last = std::move(unanswered->failure);
      continue;
    }
    if (const auto* answered = std::get_if<Answered>(&exchanged)) {
      note_presence();
      const protocol::Answer answer = detail::view(*answered);
      last = refusal_to_wait_out(answer, link);
      if (!last) {
        step = step_after(request, answer, machine);
        continue;
      }
    } else {
      auto& failure = std::get<net::Failure>(exchanged);
      if (failure.kind != net::Failure::Kind::timed_out || !last) last = std::move(failure);
    }
    link.reset();
    // Nothing was carried out: the same request again, unless it is of no use or the time is up.
    const Refusals::Next next = may_go_by(*last, may_wait(machine)) ? refusals.pause(stop) : Refusals::Next::give_up;
    if (next == Refusals::Next::stopped) return cancelled;
    if (next == Refusals::Next::ask_again) continue;
    if (last->kind != net::Failure::Kind::refused) return last;
    step = machine.answered({.type = protocol::Answer::Type::error, .text = last->text, .now = now()});
  }
}

}  // namespace redismutex::engine
