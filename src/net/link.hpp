#pragma once

#include <hiredis/hiredis.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
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
#include <vector>

#include "net/failure.hpp"
#include "net/poll.hpp"
#include "net/stream.hpp"

namespace redismutex::net {

struct FreeReply {
  void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

/// Something that a thread waits for at a Link: see Call for replies; plain Events are set by whoever handles a push.
/// Lives where the waiting thread keeps it, and may go as soon as Link::wait has returned.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

 private:
  friend class Link;

  // These four are what the thread sleeps for; mutex_ orders them with the sleep.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> set_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> leads_{false};  // was handed the reading

  // Its place among Link::sleepers_, guarded by Link::mutex_.
  Event* previous_ = nullptr;
  Event* next_ = nullptr;
  bool asleep_ = false;

  // How many bytes the link must have sent before there can be an answer.
  std::uint64_t ends_at_ = 0;
};

/// One command in flight and the place for its answer.
class Call : public Event {
 public:
  /// The answer, once Link::wait returned `done`; a server's refusal is an answer too.
  const redisReply& reply() const { return *reply_; }
  Reply take_reply() { return std::move(reply_); }

 private:
  friend class Link;

  Reply reply_;
  Deadline overdue_at_;
};

/// One socket to one server, shared by all threads, with no thread of its own: the callers do the I/O.
///
/// - Writers combine: a caller appends its command to the outgoing buffer, and whoever finds no writer at work sends all.
/// - Readers take turns: of the threads that wait, one leads: it reads the socket and completes the others' calls as
///   their replies come in; when what it waits for itself has come, it hands the reading to another sleeper. A thread
///   that is alone sends and receives with one system call each, and is never woken by another.
/// - Waiting for a push is the same wait as waiting for a reply.
///
/// A Link lives from a connected stream to the first failure and is never revived. The failure reaches every call in
/// flight: what became of those commands is unknown. Thread-safe; destroyed when no thread uses it any more.
class Link {
 public:
  using PushHandler = std::function<void(const redisReply&)>;

  /// `reply_timeout`: a reply that takes longer means that the server or the way to it is gone. `on_push` is called by
  /// whichever thread reads, without any lock held.
  Link(std::unique_ptr<Stream> stream, std::chrono::milliseconds reply_timeout, PushHandler on_push);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  struct Outgoing {
    Call* call;  ///< none: nobody wants the answer
    std::span<const std::string_view> arguments;
  };

  /// Sends commands, one right behind the other. Whether that worked is learnt by waiting for the calls.
  void send(std::initializer_list<Outgoing> commands);

  enum class Waited {
    done,       ///< the event is set, the call has its reply
    broken,     ///< the link failed: what became of the command is unknown
    timed_out,  ///< the deadline passed; the reply will be dropped when it comes
    stopped,    ///< the same because the stop_token fired
  };
  Waited wait(Call& call, Deadline deadline, const std::stop_token& stop);
  Waited wait(Event& event, Deadline deadline, const std::stop_token& stop);

  /// Ends a wait. Any thread may call it, from a push handler too.
  void set(Event& event);

  bool broken() const noexcept { return broken_; }

  /// What broke the link.
  Failure failure() const;

  /// Whether at least `count` replies have come.
  bool has_answered(std::uint64_t count) const noexcept { return replies_ >= count; }

  /// Breaks the link on purpose.
  void fail(Failure failure);

  /// For a child of fork(), which must not use the link: closes its copy of the descriptor, without a word to the server.
  void close_inherited() noexcept { stream_->close_inherited(); }

  /// The largest reply, in bytes and in levels of lists within lists. Ours are a few hundred bytes and flat; more is not a
  /// server that we talk to.
  static constexpr std::size_t max_reply_size = 1024 * 1024;
  static constexpr int max_reply_depth = 16;

  /// How much may wait for a server that does not read, in bytes.
  static constexpr std::size_t max_unsent_size = 16 * 1024 * 1024;

 private:
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
  };

  Waited wait_for(Event& event, Deadline deadline, const std::stop_token& stop, Reading reading);
  void sleep_or_lead(Event& event, Deadline deadline, Reading reading);
  void sleep(Event& event, Deadline deadline);
  void lead(Event& event, Deadline deadline, Reading reading);
  bool read_once(Deadline deadline, Reading reading);
  void write(std::unique_lock<std::mutex>& lock);
  void take_in(std::span<const char> bytes);
  void complete_arrived();
  void hand_over_reading();
  bool withdraw(Call& call);
  void interrupt(Event& event, std::atomic<bool> Event::*why);
  static void wake(Event& event, std::atomic<bool> Event::*why);
  static void await_set(Event& event);
  void fail_overdue();
  void fail_if_overdue();

  struct FreeReader {
    void operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }
  };

  const std::unique_ptr<Stream> stream_;
  const std::chrono::milliseconds reply_timeout_;
  const PushHandler on_push_;
  const Kick kick_;  // wakes a leader that polls
  std::atomic<bool> broken_{false};
  std::atomic<std::uint64_t> replies_{0};
  std::atomic<std::uint64_t> sent_bytes_{0};
  std::atomic<bool> stuck_{false};  // the server takes no more for now

  mutable std::mutex mutex_;  // guards what follows
  std::optional<Failure> failure_;
  std::string outgoing_;
  std::uint64_t queued_bytes_ = 0;  // all that ever was in outgoing_
  bool writing_ = false;            // somebody sends
  bool deaf_ = false;               // the server has closed: what it said before is still to be read
  std::deque<Sent> in_flight_;      // in the order of the commands on the wire
  bool reading_ = false;            // somebody leads, or was just told to
  Event* leader_ = nullptr;         // who does
  Sleepers sleepers_;

  std::string sending_;  // belongs to the one who set writing_

  // These belong to the leader.
  const std::unique_ptr<redisReader, FreeReader> reader_;
  std::size_t unfinished_ = 0;  // bytes of the reply that is not complete yet
  std::vector<Reply> arrived_;
  std::vector<Call*> completed_;
};

}  // namespace redismutex::net
