#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "net/event.hpp"
#include "net/failure.hpp"
#include "net/greeting.hpp"
#include "net/poll.hpp"
#include "net/reply.hpp"
#include "net/resp.hpp"
#include "net/stream.hpp"

namespace redismutex::net {

class Link;

/// One command in flight and the place for its answer. If it goes before that has come, the answer is dropped; the Link must
/// still be there then.
class Call : public Event {
 public:
  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();

  /// The answer, once Link::wait returned `done`; a server's refusal is an answer too.
  ReplyView reply() const { return *reply_; }
  Reply take_reply() { return std::move(reply_); }

 private:
  friend class Link;

  Reply reply_;
  Deadline overdue_at_;
  Link* link_ = nullptr;  // from when it is sent to when it is withdrawn
};

/// One socket to one server, shared by all threads, with no thread of its own: the callers do the I/O.
///
/// - Writers combine: a caller appends its command to the outgoing buffer, and whoever finds no writer at work sends all.
///   Those who were woken together leave it to the next reader.
/// - Readers take turns: of the threads that wait, one leads: it reads the socket and completes the others' calls as
///   their replies come in; when what it waits for itself has come, it hands the reading to another sleeper. A thread
///   that is alone sends and receives with one system call each, and is never woken by another.
/// - Waiting for a push is the same wait as waiting for a reply. (The push that confirms a SUBSCRIBE is its reply, because
///   in RESP3 nothing else answers it, but a refusal does come as a reply.)
/// - A background thread may attend, so that pushes are read while no caller waits; callers come first.
///
/// A Link lives from a connected stream to the first failure and is never revived. The failure reaches every call in
/// flight: what became of those commands is unknown. Thread-safe; destroyed when no thread uses it any more. A child of
/// fork() must not use it, or destroy it.
class Link {
 public:
  using PushHandler = std::function<void(ReplyView)>;

  /// `reply_timeout`: a reply that takes longer means that the server or the way to it is gone. `on_push` is called by
  /// whichever thread reads, without any lock held; what it throws breaks the link.
  Link(std::unique_ptr<Stream> stream, std::chrono::milliseconds reply_timeout, PushHandler on_push);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  struct Outgoing {
    Call* call;  ///< none: nobody wants the answer
    std::span<const std::string_view> arguments;
  };

  /// Sends commands, one right behind the other. Never waits: what the server does not take yet, or what goes out together
  /// with others, is sent by those who wait for answers. Whether it worked is learnt by waiting for the calls.
  void send(std::span<const Outgoing> commands);
  void send(std::initializer_list<Outgoing> commands) { send(std::span{commands.begin(), commands.size()}); }

  /// For who has sent and does not wait: what was to go out with others goes now.
  void flush();

  /// Takes in what has arrived, without waiting; nothing to do if another thread is at it. For calls that nobody waits for.
  void take_in_arrived();

  /// Whether the call's reply is there. To be asked after take_in_arrived(), for instance.
  bool has_reply(const Call& call) const noexcept { return call.is_set() && call.reply_; }

  enum class Waited {
    done,       ///< the event is set, the call has its reply
    broken,     ///< the link failed: what became of the command is unknown
    timed_out,  ///< the deadline passed; the reply will be dropped when it comes
    stopped,    ///< the same because the stop_token fired
  };

  /// How to sleep where nothing but the reply ends it. A server that reads a command from a unix socket wakes whoever sleeps
  /// in recv() on it, for nothing; and if they share a processor, it has to wait until that thread is asleep again.
  enum class Sleep {
    in_recv,  ///< one system call a reply
    in_poll,  ///< one more, for the sake of others who wait for the server
  };
  Waited wait(Call& call, Deadline deadline, const std::stop_token& stop, Sleep sleep = Sleep::in_recv);
  Waited wait(Event& event, Deadline deadline, const std::stop_token& stop);

  /// Reads what comes while no caller does, until `end` is set (`done`), the deadline passes, or the link breaks. For one
  /// background thread at a time.
  ///
  /// A caller that comes meanwhile reads for itself, and this thread stays away from the socket for as long as there are
  /// callers; then it is back within attendance_pause. So it costs a busy connection about a hundred wake-ups a second,
  /// and one whose callers wait for long nothing.
  Waited attend(Event& end, Deadline deadline);
  static constexpr std::chrono::milliseconds attendance_pause{10};

  /// Ends a wait, or attend(). Any thread may call it, from a push handler too.
  void set(Event& event);

  bool broken() const noexcept { return broken_; }

  /// To watch whether something has come.
  int fd() const noexcept { return stream_->fd(); }

  /// Different for each link of this process.
  std::uint64_t id() const noexcept { return id_; }

  /// The login is over: what the server said of itself, and that the answers to what will be sent from now on are for
  /// callers. To be called once, before other threads know of the link.
  void end_login(Greeting greeting);
  const Greeting& greeting() const noexcept { return greeting_; }

  /// Whether anything was answered since the login.
  bool has_served() const noexcept { return has_answered(login_commands_ + 1); }

  /// What broke the link.
  Failure failure() const;

  /// Whether at least `count` replies have come.
  bool has_answered(std::uint64_t count) const noexcept { return replies_ >= count; }

  /// Breaks the link on purpose.
  void fail(Failure failure) noexcept;

  /// The same, but all that is in flight is answered first. Whatever is to be sent from now on fails, and is not sent.
  void retire(Failure why);

  /// How much may wait for a server that does not read, in bytes.
  static constexpr std::size_t max_unsent_size = 16 * 1024 * 1024;

 private:
  friend class Call;

  struct Sent {
    Call* call;
    Deadline overdue_at;
  };

  /// Those who could lead, the longest asleep first.
  class Sleepers {
   public:
    bool empty() const { return first_ == nullptr; }
    void add(Event& event);
    void remove(Event& event);
    Event* first() const { return first_; }

   private:
    Event* first_ = nullptr;
    Event* last_ = nullptr;
  };

  /// How a leader reads.
  enum class Reading {
    blocking,       ///< asleep in recv(): one system call a reply, and only the socket ends it
    interruptible,  ///< asleep in poll() first
    at_once,        ///< only what is there
  };

  Waited wait_for(Event& event, Deadline deadline, const std::stop_token& stop, Reading reading);
  void sleep_or_lead(Event& event, Deadline deadline, Reading reading);
  void lead(Event& event, Deadline deadline, Reading reading);
  void queue(const Outgoing& command, Deadline overdue_at);
  bool read_once(Deadline deadline, Reading reading);
  void read_at_once();
  void write(std::unique_lock<std::mutex>& lock);
  Stream::Transfer write_now() noexcept;
  short events_to_poll_for() const noexcept;
  void take_in(std::span<const char> bytes);
  void complete_arrived();
  void wake(const std::vector<Call*>& calls);
  void hand_over_reading();
  bool withdraw(Call& call);
  void forget(Call& call);
  void await_set(Event& event);
  void interrupt(Event& event, Event::State why);
  void fail_overdue() noexcept;
  void fail_if_overdue();

  /// What the attendant has seen.
  struct Attendance {
    std::uint64_t replies = 0;  // by how many had come
    std::uint64_t turn = 0;     // of the reader it stood aside for
    bool yielded = false;       // to a caller who had sent and did not read
  };

  Waited attend_until(Event& end, Deadline deadline);
  bool attendance_begins(Attendance& attendance);
  bool attendant_takes_reading(Attendance& attendance);
  void stand_aside(Event& end, Deadline deadline, Attendance& attendance);

  const std::uint64_t id_;
  Greeting greeting_;
  std::uint64_t login_commands_ = 0;
  const std::unique_ptr<Stream> stream_;
  const std::chrono::milliseconds reply_timeout_;
  const PushHandler on_push_;
  const Kick kick_;             // wakes a leader that polls
  const Kick attendants_kick_;  // and the attendant that does
  ParkingLot parking_;          // for all others
  std::atomic<std::uint64_t> replies_{0};
  std::atomic<std::uint64_t> sent_bytes_{0};
  std::atomic<bool> broken_{false};
  std::atomic<bool> stuck_{false};  // the server takes no more for now

  // Many threads were just woken: what they send waits for whoever reads next, who sends it all. Set with the mutex held.
  std::atomic<bool> corked_{false};

  mutable std::mutex mutex_;  // guards what follows
  std::optional<Failure> failure_;
  std::optional<Failure> retired_;  // to fail with when nothing is in flight any more
  std::string outgoing_;
  std::uint64_t queued_bytes_ = 0;  // all that ever was in outgoing_
  std::deque<Sent> in_flight_;      // in the order of the commands on the wire
  std::deque<Sent> lost_;           // those that were in flight when it failed; never changed afterwards
  Event* leader_ = nullptr;         // who leads
  std::thread::id leader_thread_;
  std::uint64_t turns_ = 0;  // how often the reading was taken
  Sleepers sleepers_;
  Event* attendant_ = nullptr;
  bool writing_ = false;          // somebody sends
  bool deaf_ = false;             // the server has closed: what it said before is still to be read
  bool reading_ = false;          // somebody leads, or was just told to
  bool attendant_waits_ = false;  // to be told when nobody reads any more

  // These belong to the one who set writing_.
  std::string sending_;
  std::size_t sending_at_ = 0;  // as far as it is sent

  // These belong to the leader.
  Resp resp_;
  std::vector<Reply> arrived_;
  std::vector<Call*> completed_;
};

}  // namespace redismutex::net
