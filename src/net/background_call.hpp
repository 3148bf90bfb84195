#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "net/poll.hpp"
#include "net/thread.hpp"

namespace redismutex::net {

/// Calls a function that takes its time and can not be interrupted, again and again, each time in a thread of its own. There is
/// never more than one: a call that takes too long is left alone, and the next step() goes on waiting for it. For one thread at a
/// time.
template <class Result>
class BackgroundCall {
 public:
  /// A result that nobody fetched for so long is out of date.
  static constexpr std::chrono::seconds longest_kept{5};

  /// `function` must not throw. It outlives this object for as long as a call runs.
  explicit BackgroundCall(std::function<Result()> function)
      : function_{std::make_shared<const std::function<Result()>>(std::move(function))} {}

  /// The result of the call that is under way, which begins now if there is none. Throws std::system_error if there is no thread
  /// or descriptor to be had.
  std::variant<Awaited, Result> step(Deadline now) {
    if (call_ && call_->done && now - call_->ended_at > longest_kept) call_.reset();
    if (!call_) {
      auto begun = std::make_shared<Call>(function_);
      start_thread([call = begun] { call->run(); }).detach();
      call_ = std::move(begun);
    }
    if (!call_->done) return Awaited{.fd = call_->ended.fd(), .events = POLLIN};
    return std::move(*std::exchange(call_, nullptr)->result);
  }

 private:
  /// What the thread and this object share.
  struct Call {
    explicit Call(std::shared_ptr<const std::function<Result()>> called) : function{std::move(called)} {}

    void run() {
      result.emplace((*function)());
      ended_at = std::chrono::steady_clock::now();
      done = true;
      ended.kick();
    }

    const std::shared_ptr<const std::function<Result()>> function;
    Kick ended;
    std::atomic<bool> done{false};
    // Read when `done`.
    std::optional<Result> result;
    Deadline ended_at;
  };

  const std::shared_ptr<const std::function<Result()>> function_;
  std::shared_ptr<Call> call_;  // that is under way, or whose result was not fetched
};

}  // namespace redismutex::net
