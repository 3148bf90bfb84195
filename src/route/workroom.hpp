#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <variant>
#include <vector>

#include "net/call.hpp"
#include "net/link.hpp"
#include "net/reactor.hpp"
#include "net/workers.hpp"
#include "protocol/instant.hpp"
#include "route/background.hpp"
#include "route/peer.hpp"
#include "route/procedure.hpp"

namespace redismutex::route {

/// The Background of some Peers, in the reactor's thread: one round after the other goes on with what has been answered, or is due. Only
/// dialling, which blocks, is done by a worker. Thread-safe.
class Workroom final : public Background {
 public:
  /// Both must outlive it. The Peer is used from the first operation or duty on, until finish().
  explicit Workroom(net::ReactorOnDemand& reactor);
  Workroom(Peer& peer, net::ReactorOnDemand& reactor);

  /// After finish().
  ~Workroom();

  void get_ready() override;
  void start(std::shared_ptr<Operation> operation) override;
  void start_here(std::shared_ptr<Operation> operation) override;
  void begin_help() noexcept override;
  void end_help() noexcept override;

  /// The calling thread helps no more. Returns what it helped; null: it did not.
  static Workroom* interrupt_help() noexcept;
  void enlist(Duty& duty) override;
  void call(Duty& duty, protocol::Instant at) noexcept override;
  void withdraw(Duty& duty) noexcept override;
  void listen(bool wanted) noexcept override;
  void verify_server() noexcept override;
  bool take_in_pushes(Server& server) noexcept override;

  /// Operations may go there from now on.
  void add(Peer& peer);

  /// For the handlers of the Peers: a link broke.
  void link_broke() noexcept;

  /// Waits until all operations are over, but no longer than until then; those that are left are abandoned, and later ones at once.
  /// Not to be called in one of its own threads.
  void finish(protocol::Instant until) noexcept;

 private:
  static constexpr protocol::Instant at_once{};

  /// An operation on its way, and how far it has come.
  struct Progress;
  struct Running;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final
  using Operations = std::list<Running>;
  enum class State { fresh, reaching, sending, sleeping, over };
  using Dialled = std::variant<std::shared_ptr<net::Link>, Failure>;

  /// To one server.
  struct Way {
    Way(Workroom& whose, Peer& to) noexcept : room{whose}, peer{to} {}
    bool is_missed() const noexcept;

    Workroom& room;
    Peer& peer;

    // These belong to the round.
    bool in_use = false;        // so it is to be listened to
    std::size_t listeners = 0;  // operations that listen there
    protocol::Instant next_dial = protocol::Instant::min();
    std::weak_ptr<net::Link> listened_to;

    // These are guarded by the room's mutex.
    bool dials = false;
    std::optional<Dialled> dialled;
    std::optional<net::Workers::Task> dialling;  // from the first need on, until finish()
  };

  struct Enlisted {
    Duty* duty;
    protocol::Instant at;
  };

  void begin();
  Operations prepare(std::shared_ptr<Operation> operation);
  bool admit(Operations prepared, std::optional<protocol::Instant> round_at);
  bool take_first_steps(Running& running);
  void send_first(Operations prepared, const Procedure::Send& send);
  Way& way_to(Server* server);
  void get_ready_to_dial(Way& way);
  void wake() noexcept;
  void request_round(protocol::Instant at) noexcept;
  void set_timer() noexcept;

  void make_rounds() noexcept;
  void begin(Running& running) noexcept;
  bool make_round() noexcept;
  void make_round_of_help() noexcept;
  bool go_on() noexcept;
  bool begin_started() noexcept;
  bool run_due_duty(protocol::Instant here);

  template <class Next>
  void advance(Running& running, const Next& next) noexcept;
  template <class MakeEvent>
  void tell(Running& running, const MakeEvent& event) noexcept;
  void wait(Running& running, State state, protocol::Instant until) noexcept;
  void sleep(Running& running, const Procedure::Sleep& sleep) noexcept;
  void end_wait(Running& running) noexcept;
  void carry_out(Running& running, const Procedure::Step& step);
  void reach(Running& running, const Procedure::Reach& reach);
  void send(Running& running, const Procedure::Send& send);
  void take_answers(Running& running) noexcept;
  void take_many_answers(Running& running) noexcept;
  void give_up_waiting(Running& running) noexcept;
  void attend_to_times(protocol::Instant here) noexcept;
  void end(Running& running, Operation::End how) noexcept;
  void tell_ended() noexcept;
  void note_answered(Running& running) noexcept;
  void note_woken(Running& running) noexcept;
  void add_woken(Running& running) noexcept;
  bool wake_up_next() noexcept;
  void forget_woken(Running& running) noexcept;

  void request_dial(Way& way) noexcept;
  void dial(Way& way) noexcept;
  void take_dialled() noexcept;
  void note_dialled(const Way& way, const Dialled& dialled) noexcept;
  void listen_at_present_links(protocol::Instant here);
  void listen(Way& way, bool one_broke, protocol::Instant here);
  void tell_listeners(const Way& way) noexcept;
  void verify() noexcept;

  net::ReactorOnDemand& reactor_;
  std::stop_source stopping_;

  std::mutex mutex_;  // guards what follows; a leaf: nothing is called with it
  std::condition_variable changed_;
  std::vector<Enlisted> duties_;
  bool one_broke_ = false;  // a link, since the last round
  Duty* running_duty_ = nullptr;
  std::thread::id runs_this_thread_;
  Operations started_;           // not seen by a round yet
  Operations spares_;            // of those that are over: what a thread allocates for one another would have to free
  Running* answered_ = nullptr;  // a stack of those that are to go on
  Running* woken_ = nullptr;     // the same, of those that there is news for
  std::size_t count_ = 0;        // of operations
  bool finished_ = false;
  bool has_dialled_ = false;
  protocol::Instant round_at_ = protocol::Instant::max();  // when the timer goes off at the latest
  std::deque<Way> ways_;                                   // each stays where it is

  std::mutex round_;  // held for a round, by the thread that makes it; before the other

  // These belong to the round.
  Operations running_;
  Operations ended_;                                        // and were not told so yet
  protocol::Instant next_time_ = protocol::Instant::max();  // of an operation
  bool listens_ = false;
  bool listeners_changed_ = false;  // there may be new ones

  // From the first need on, until finish().
  std::optional<net::Workers::Task> verifying_;
  std::optional<net::Reactor::Timer> timer_;  // of the next round
};

}  // namespace redismutex::route
