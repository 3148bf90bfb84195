#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/call.hpp"
#include "net/poll.hpp"
#include "net/reply.hpp"
#include "net/resp.hpp"

namespace redismutex::net {

/// The state of one connection: the bytes that are to be sent, the calls in flight, the answers that have come.
///
/// Pure: no socket, lock, clock or thread. Whoever owns it moves the bytes, and tells it the time limits. An answer belongs to the
/// oldest command in flight, because a server answers in the order of the commands. Pushes come in between; but the push that
/// confirms a SUBSCRIBE, or a SUNSUBSCRIBE, is its answer, because in version 3 of the protocol nothing else answers it.
class Wire {
 public:
  /// With the limits of Resp::of_stranger.
  Wire() : slots_(few), resp_{Resp::of_stranger} {}

  /// What is in flight goes along. The other is not to be used any more.
  Wire(Wire&&) noexcept = default;
  Wire& operator=(Wire&&) noexcept = default;

  /// Appends one command. `call` is over when its answer has come; null: nobody wants the answer. `overdue_at`: when an answer
  /// would be too late; not before that of an earlier command. Throws std::bad_alloc, and is as it was then.
  void submit(Call* call, std::span<const std::string_view> arguments, Deadline overdue_at);

  /// The next bytes for the server; empty: none. They stay valid until outgoing() is called again, whatever is submitted.
  std::string_view outgoing() noexcept;

  /// So many of them are sent.
  void sent(std::size_t bytes) noexcept { sent_ += bytes; }

  /// How many bytes are not sent yet.
  std::size_t unsent() const noexcept { return queued().size() + sending().size() - sent_; }

  /// Takes in what the server sent, however it is cut, and adds the calls that are over, and the pushes. Throws std::bad_alloc;
  /// then the connection can not go on.
  void received(std::string_view bytes, Calls& over, std::vector<Reply>& pushes);

  /// What the server sent that is not the protocol, or that nobody asked for; empty as long as all is well.
  std::string_view problem() const noexcept { return resp_.problem().empty() ? problem_ : resp_.problem(); }

  /// The login is over: from now on replies may be as large as those of a server.
  void expect_large_replies() noexcept { resp_.widen(Resp::of_server); }

  /// Small answers need no memory from now on: it might be missing when they come, and what was asked is done by then.
  void reserve_for_answers() { resp_.reserve(); }

  /// The answer of a call will be dropped. False: it is over, or was never in flight.
  bool withdraw(Call& call) noexcept;

  /// All that is in flight is lost. Nothing is left to be sent.
  void fail(Calls& lost) noexcept;

  std::size_t in_flight() const noexcept { return last_ - first_; }

  /// How many commands were answered.
  std::uint64_t answered() const noexcept { return first_; }

  /// When the oldest answer in flight will be overdue; Deadline::max() if none is in flight.
  Deadline next_deadline() const noexcept { return first_ == last_ ? Deadline::max() : slot(first_).overdue_at; }

 private:
  /// A command in flight.
  struct Slot {
    Call* call;
    Deadline overdue_at;
    bool unsubscribes;
  };
  static constexpr std::size_t few = 8;

  std::string& sending() noexcept { return buffers_[sends_second_ ? 1 : 0]; }
  const std::string& sending() const noexcept { return buffers_[sends_second_ ? 1 : 0]; }
  std::string& queued() noexcept { return buffers_[sends_second_ ? 0 : 1]; }
  const std::string& queued() const noexcept { return buffers_[sends_second_ ? 0 : 1]; }

  // A ring, whose size is a power of two.
  Slot& slot(std::uint64_t number) noexcept { return slots_[number & (slots_.size() - 1)]; }
  const Slot& slot(std::uint64_t number) const noexcept { return slots_[number & (slots_.size() - 1)]; }
  void grow();
  bool is_answer(ReplyView reply) const;

  std::array<std::string, 2>
      buffers_;  // by turns: what is being sent, which never changes meanwhile, and what is behind it
  bool sends_second_ = false;
  std::size_t sent_ = 0;
  std::vector<Slot> slots_;
  std::uint64_t first_ = 0, last_ = 0;     // numbers of the commands in flight
  std::vector<std::string> unsubscribed_;  // the channels of those in flight: a server ends subscriptions unasked, too
  Resp resp_;
  std::string_view problem_;
};

}  // namespace redismutex::net
