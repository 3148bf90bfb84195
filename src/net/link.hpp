#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

#include "net/call.hpp"
#include "net/caller.hpp"
#include "net/failure.hpp"
#include "net/greeting.hpp"
#include "net/list.hpp"
#include "net/loop_watch.hpp"
#include "net/parking_lot.hpp"
#include "net/poll.hpp"
#include "net/reactor.hpp"
#include "net/reply.hpp"
#include "net/stream.hpp"
#include "net/wire.hpp"

namespace redismutex::net {

/// A connection that a server has let us into. The names may still be on their way, see tell_names().
struct LoggedIn {
  std::unique_ptr<Stream> stream;
  Wire wire;
  Greeting greeting;
  ServerAddress address = {};  ///< as it was looked for; none: by a unix socket
  std::string peer = {};  ///< what that led to: an address of the internet with its port, or the path of a unix socket
};

/// One socket to one server, shared by threads and by calls that no thread waits for.
///
/// WHO READS. At any time one thread at most has the reading.
/// 1. A caller takes the reading, if it is free, as it submits its commands, and keeps it until its own calls are over. It reads
///    without the reactor: one `send` and one `recv` a command. Callers that find the reading taken sleep; the thread that reads
///    wakes them.
/// 2. A caller that leaves hands the reading to the longest sleeper. If there is none, and something is in flight, the reactor
///    watches the socket. A caller that then takes the reading calls the reactor off.
/// 3. The reactor reads if nobody does, then hands on as in 2.
/// 4. Pushes that may be late (see want_pushes) cost a caller nothing: the reactor goes on watching. Called for a socket that a
///    caller reads, it looks again every `push_pause`, and watches again when nobody has read since its last look.
/// 5. A loop of the program (see LoopWatch) reads in place of the reactor, for as long as it wants to. Nobody relies on that it turns: the reactor
///    looks every `push_pause` whether anybody has read, and if nobody has, watches, too. What the loop has left for `push_pause` the reactor reads, and
///    all that comes later, until the loop is heard of again.
/// 6. The reactor watches for overdue answers, with one timer that is set once in a reply timeout. An overdue answer breaks the
///    link, and shutdown() wakes the thread that reads. So a system call has a time limit only where a caller's own is shorter.
///
/// WHO WRITES. A thread that submits commands sends all there is, unless another is sending. When one read has brought the answers
/// of many, what their threads ask next is left to the next reader, who lets them have the processor first. So is what a thread with a Cork sends without
/// waiting for it, until that goes. Nobody waits to write:
/// what the socket does not take is sent by the reactor, when it does.
///
/// A Link lives from the end of the login to the first failure and is never revived. The failure reaches every call in flight: what
/// became of those commands is unknown. Thread-safe; destroyed when no thread uses it any more. A child of fork() must not use
/// it, or destroy it.
class Link final : public std::enable_shared_from_this<Link>, private Reactor::Source {
 public:
  struct Handlers {
    /// Called with each push, by whichever thread reads, without any lock held; what it throws breaks the link.
    std::function<void(ReplyView)> on_push;
    /// Called once, when the link has broken, without any lock held. Must not throw.
    std::function<void(const Link&)> on_broken = {};
  };

  /// Goes on where the login has ended. `reply_timeout`: a reply that takes longer means that the server or the way to it is gone.
  Link(Reactor& reactor, LoggedIn logged_in, std::chrono::milliseconds reply_timeout, Handlers handlers);
  ~Link() override;

  struct Outgoing {
    Call* call;  ///< none: nobody wants the answer
    std::span<const std::string_view> arguments;
  };

  /// Sends commands, one right behind the other. Never waits. Whether it worked is learnt from the calls. Blocking calls that are
  /// sent together belong to one caller, which is to wait for them at once.
  void send(std::span<const Outgoing> commands);
  void send(std::initializer_list<Outgoing> commands) { send(std::span{commands.begin(), commands.size()}); }

  enum class Waited {
    done,       ///< the call has its reply; the caller was set
    broken,     ///< the link failed: what became of the command is unknown
    timed_out,  ///< the deadline passed; the replies to this caller's calls will be dropped when they come
    stopped,    ///< the same because the stop_token fired
  };

  /// Waits for one of a caller's calls, in the order in which they were sent. When one is given up, all are.
  Waited wait(BlockingCall& call, Deadline deadline, const std::stop_token& stop);

  /// Waits until set(). Best by a Caller that sleeps apart.
  Waited wait(Caller& caller, Deadline deadline, const std::stop_token& stop);

  /// Ends a wait without calls. Any thread may call it, from a push handler too, while the caller exists.
  void set(Caller& caller) noexcept { interrupt(caller, Caller::was_set); }

  /// Takes back a call that no thread waits for. False: its `done` has been called, or is about to be.
  bool withdraw(Call& call) noexcept;

  /// Whether pushes are to be read while no caller reads. They may be late by `push_pause`.
  void want_pushes(bool wanted) noexcept;
  static constexpr std::chrono::milliseconds push_pause{10};

  /// Takes in what has come and nobody has read yet. Does not wait. False: another thread reads, and may have something in its hands.
  bool read_now() noexcept;

  /// From now on that loop reads when it wants to; null: none. What it called for before is void.
  void set_loop(std::unique_ptr<LoopWatch> watch) noexcept;

  /// For the loop's thread, when it was told so: takes in what is there. Does nothing if that call was called off.
  void read_in_loop(std::uint64_t number) noexcept;

  /// The loop is to know nothing of the socket until it wants to read again.
  void call_off_loop() noexcept;

  int fd() const noexcept { return stream_->fd(); }

  bool broken() const noexcept { return broken_; }

  /// Whether it broke because an answer was overdue.
  bool was_silent() const noexcept { return was_silent_; }

  /// What broke the link.
  Failure failure() const;

  /// Different for each link of this process.
  std::uint64_t id() const noexcept { return id_; }

  /// What the server said of itself.
  const Greeting& greeting() const noexcept { return greeting_; }

  /// Where it leads: see LoggedIn.
  const ServerAddress& address() const noexcept { return address_; }
  const std::string& peer() const noexcept { return peer_; }

  /// Whether anything was answered since the login.
  bool has_served() const noexcept;

  /// Breaks the link on purpose.
  void fail(Failure why) noexcept;

  /// The same, but all that is in flight is answered first. Whatever is to be sent from now on fails, and is not sent.
  void retire(Failure why);

  /// Sends what a Cork has left. A Cork works only for a Link that belongs to shared_ptrs.
  void flush() noexcept;

  /// How much may wait for a server that does not read, in bytes.
  static constexpr std::size_t max_unsent_size = 16 * 1024 * 1024;

 private:
  friend class BlockingCall;
  using Lock = std::unique_lock<std::mutex>;
  using Sleeping = ParkingLot::Sleeping;
  using Read = Stream::Transfer (Stream::*)(std::span<char>);

  /// What is to be told when the lock is free again.
  struct News {
    Calls over;
    std::optional<Sleeping> next_reader;
    bool broke = false;
  };

  /// Why a wait may end, besides by the link's end.
  struct Until {
    Deadline limit;
    const std::stop_token& stop;
    std::uint32_t calls;  // so many of the caller's are over; no_calls: it was set
  };
  static constexpr std::uint32_t no_calls = ~std::uint32_t{0};

  static Caller& note_submitted(BlockingCall& call, Deadline overdue_at) noexcept;
  void join(Caller& caller) noexcept;
  Waited wait_for(Caller& caller, const Until& until) noexcept;
  void leave(Caller& caller) noexcept;
  void interrupt(Caller& caller, std::uint32_t why) noexcept;

  void take_reading(Caller* caller) noexcept;
  std::optional<Sleeping> hand_over_reading() noexcept;
  void read(Caller& caller, const Until& until, std::optional<BorrowedKick>& kick) noexcept;
  bool poll(Caller& caller, const Until& until, std::optional<BorrowedKick>& kick) noexcept;
  void take_in(Caller* reader, Read how) noexcept;
  void read_for_nobody(Lock& lock) noexcept;
  std::size_t take_off(const Calls& over) noexcept;
  void handle_pushes() noexcept;
  void finish(News& news) noexcept;

  void write(Lock& lock) noexcept;
  Stream::Transfer write_now(std::string_view bytes) noexcept;
  bool is_left_to_others(const Caller* caller) noexcept;

  void watch_if_needed() noexcept;
  void watch_for_output() noexcept;
  void watch_for(std::uint32_t events) noexcept;
  bool watches_input() const noexcept;
  bool loop_watches() noexcept;
  bool is_left_to_loop() const noexcept;
  void look_after_loop(Lock& lock) noexcept;
  bool is_readable() const noexcept;
  void ready(std::uint32_t events) noexcept override;
  void look_later() noexcept;
  void look() noexcept;
  void look_for_overdue() noexcept;
  Failure overdue() const noexcept;

  void break_off(Failure why, News& news) noexcept;

  const std::uint64_t id_;
  const std::shared_ptr<Reactor> reactor_;  // goes last: whoever flushes a link may have it longer than its Connection
  const Greeting greeting_;
  const ServerAddress address_;
  const std::string peer_;
  const std::unique_ptr<Stream> stream_;
  const std::chrono::milliseconds reply_timeout_;
  const Handlers handlers_;
  ParkingLot parking_;
  std::atomic<bool> broken_{false};
  std::atomic<bool> was_silent_{false};
  std::atomic<int> kick_{-1};        // an eventfd that wakes the caller that reads from poll(), while it may be there
  std::atomic<bool> corked_{false};  // what is submitted is left to the next reader; set and cleared with the lock held

  mutable std::mutex mutex_;  // guards what follows
  Wire wire_;
  const std::uint64_t login_;  // how many commands it had
  std::optional<Failure> failure_;
  std::optional<Failure> retired_;  // to fail with when nothing is in flight any more
  Caller* reader_ = nullptr;        // the caller that has the reading
  List<Caller> sleepers_;           // those who could read, the longest asleep first
  std::uint64_t turns_ = 0;         // how often the reading was taken
  std::uint64_t seen_turn_ = 0;     // by look()
  bool reading_ = false;            // somebody has the reading
  bool writing_ = false;            // somebody sends
  bool stuck_ = false;              // the socket takes no more for now
  bool deaf_ = false;               // the server has closed: what it said before is still to be read
  std::uint32_t watched_ = 0;       // for what the reactor will call ready(): EPOLLIN, EPOLLOUT
  bool wants_pushes_ = false;
  bool looks_later_ = false;  // look() will be called
  bool timed_ = false;        // look_for_overdue() will be called
  int graces_ = 0;            // given in a row to an answer that is there, and unread
  std::unique_ptr<LoopWatch> loop_;
  std::uint64_t loop_calls_ = 0;    // that the loop was asked for
  std::uint64_t awaited_call_ = 0;  // of these; 0: none
  bool loop_stalls_ = false;        // that one is overdue

  // These belong to the thread that has the reading.
  std::vector<Reply> pushes_;

  // Last, so that they end first.
  Reactor::Timer look_timer_;
  Reactor::Timer overdue_timer_;
};

}  // namespace redismutex::net
