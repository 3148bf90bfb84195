#pragma once

#include <cstdint>

#include "net/reply.hpp"

namespace redismutex::net {

/// One command in flight, and the place for its answer. Belongs to whoever submitted it and stays where it is until it is over,
/// or withdrawn; nothing is copied or allocated for it.
///
/// It is over when its answer has come, or when the connection failed: what became of the command is then unknown.
class Call {
 public:
  /// Is called once, when the call is over, by whichever thread reads, with no lock held. It must be quick, must not wait, and is
  /// the last to touch the call: it may destroy it.
  using Done = void (*)(Call&) noexcept;

  /// Without `done`, state() tells.
  explicit Call(Done done = nullptr) noexcept : done_{done} {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  enum class State : std::uint8_t { idle, in_flight, answered, lost };
  State state() const noexcept { return state_; }
  bool answered() const noexcept { return state_ == State::answered; }

  /// The answer, once answered. A refusal is an answer, too.
  ReplyView reply() const { return *reply_; }

 protected:
  /// A thread sleeps until it is over: see BlockingCall.
  struct Blocking {};
  explicit Call(Blocking /*tag*/) noexcept : blocks_{true} {}

 private:
  friend class Calls;
  friend class Wire;
  friend class Link;

  Done done_ = nullptr;
  Call* next_ = nullptr;      // among Calls
  std::uint64_t number_ = 0;  // its place among all commands of its Wire
  State state_ = State::idle;
  const bool blocks_ = false;
  Reply reply_;
};

/// A chain of calls that are over, in the order of their commands.
class Calls {
 public:
  void add(Call& call) noexcept {
    call.next_ = nullptr;
    (first_ == nullptr ? first_ : last_->next_) = &call;
    last_ = &call;
  }

  /// Takes the first one off, or returns null. The chain does not touch it afterwards.
  Call* take() noexcept {
    Call* const call = first_;
    if (call == nullptr) return nullptr;
    first_ = call->next_;
    return call;
  }

 private:
  friend class Link;

  Call* first_ = nullptr;
  Call* last_ = nullptr;
};

}  // namespace redismutex::net
