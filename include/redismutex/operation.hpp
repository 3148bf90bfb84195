#pragma once

#include <redismutex/config.hpp>

#include <sched.h>

#include <atomic>
#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// What an operation has come to: a T, or what it has thrown.
template <class T>
class [[nodiscard]] Outcome {
 public:
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  // NOLINTBEGIN(google-explicit-constructor): each of them is an outcome
  Outcome(Value value) : result_{std::in_place_index<1>, std::move(value)} {}
  Outcome(std::exception_ptr error) noexcept : result_{std::in_place_index<0>, std::move(error)} {}
  // NOLINTEND(google-explicit-constructor)

  explicit operator bool() const noexcept { return result_.index() == 1; }

  /// The T. Throws the error.
  T get() && {
    if (!*this) std::rethrow_exception(error());
    if constexpr (!std::is_void_v<T>) return std::move(*std::get_if<1>(&result_));
  }

  /// Null if there is none.
  const std::exception_ptr& error() const noexcept {
    static const std::exception_ptr none;
    const auto* const error = std::get_if<0>(&result_);
    return error != nullptr ? *error : none;
  }

 private:
  std::variant<std::exception_ptr, Value> result_;
};

namespace detail {

/// To whom an operation tells how it ended: one of the two is called, once, by the Work of an Executor, and is the last to be called.
template <class T>
class Receiver {
 public:
  virtual void receive(Outcome<T> outcome) noexcept = 0;
  virtual void abandoned() noexcept = 0;  ///< nobody will ever know how it ended

 protected:
  ~Receiver() = default;
};

/// An operation, before it has begun and while it is under way. Shared by those who drive it, and those who wait for it.
template <class T>
class Pending {
 public:
  Pending() = default;
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  virtual ~Pending() = default;

  /// Once. Throws std::bad_alloc, ResourceError where no thread can be had to complete it, and LockCancelled in a child of fork() whose parent has
  /// made it; then the receiver is told nothing.
  virtual void start(Receiver<T>& receiver) = 0;

  /// Whether the receiver was still to be told. It is told nothing then; else it is being told, or was.
  virtual bool claim() noexcept = 0;

  /// The receiver goes: it is told nothing, and the operation is cancelled. Waits until no other thread is in its abandoned().
  virtual void detach() noexcept = 0;
};

}  // namespace detail

/// Something that does not block: a coroutine awaits it, or it is started with a callback. Does nothing until then, and may be started
/// once. One that is destroyed before has not happened. Move-only.
///
/// It goes on after it was started, whatever becomes of the Connection and the mutex. It completes once, by a Work of the Executor, never
/// within co_await or start() itself, and with no lock of the library held.
template <class T>
class [[nodiscard]] Operation {
 public:
  explicit Operation(std::shared_ptr<detail::Pending<T>> pending) noexcept : pending_{std::move(pending)} {}
  Operation(Operation&&) noexcept = default;
  Operation& operator=(Operation&&) noexcept = default;
  ~Operation() = default;

  /// A coroutine that is destroyed while it awaits cancels the operation. For any framework whose coroutines await what is not its own.
  auto operator co_await() && noexcept { return Awaiter{std::move(pending_)}; }

  /// For adapters to other frameworks: what is behind it, which they start themselves. Empty afterwards.
  std::shared_ptr<detail::Pending<T>> pending() && noexcept { return std::move(pending_); }

  /// `on_end` is called with the Outcome. What it throws ends the process.
  template <class OnEnd>
    requires std::invocable<OnEnd&, Outcome<T>>
  void start(OnEnd on_end) && {
    auto callback = std::make_unique<Callback<OnEnd>>(std::move(on_end), pending_);
    const std::shared_ptr<detail::Pending<T>> pending = std::move(pending_);
    pending->start(*callback);
    callback.release();  // NOLINT(bugprone-unused-return-value): it has itself now
  }

 private:
  template <class OnEnd>
  class Callback final : public detail::Receiver<T> {
   public:
    Callback(OnEnd on_end, std::shared_ptr<detail::Pending<T>> pending)
        : on_end_{std::move(on_end)}, pending_{std::move(pending)} {}
    void receive(Outcome<T> outcome) noexcept override {
      const std::unique_ptr<Callback> self{this};
      on_end_(std::move(outcome));
    }
    void abandoned() noexcept override { delete this; }

   private:
    OnEnd on_end_;
    const std::shared_ptr<detail::Pending<T>> pending_;  // nobody else may have it
  };

  class Awaiter final : private detail::Receiver<T> {
   public:
    explicit Awaiter(std::shared_ptr<detail::Pending<T>> pending) noexcept : pending_{std::move(pending)} {}
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    ~Awaiter() {
      if (leaves(State::waits, State::over)) {
        pending_->detach();
      } else {
        while (state_ == State::is_told) ::sched_yield();  // by another thread
      }
    }

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> coroutine) {
      // The coroutine may have gone on, and be gone, before start() returns.
      const std::shared_ptr<detail::Pending<T>> pending = pending_;
      coroutine_ = coroutine;
      state_ = State::waits;
      try {
        pending->start(*this);
      } catch (...) {
        state_ = State::over;
        throw;
      }
    }
    T await_resume() { return std::move(*outcome_).get(); }

   private:
    enum class State { idle, waits, is_told, over };

    bool leaves(State from, State to) noexcept { return state_.compare_exchange_strong(from, to); }

    void receive(Outcome<T> outcome) noexcept override {
      state_ = State::over;
      outcome_.emplace(std::move(outcome));
      coroutine_.resume();
    }
    /// The coroutine stays as it is, perhaps for long. What the operation has come to does not.
    void abandoned() noexcept override {
      if (!leaves(State::waits, State::is_told)) return;
      const std::shared_ptr<detail::Pending<T>> ended = std::move(pending_);
      state_ = State::over;  // from now on the coroutine may be gone
    }

    std::shared_ptr<detail::Pending<T>> pending_;
    std::coroutine_handle<> coroutine_;
    std::optional<Outcome<T>> outcome_;
    std::atomic<State> state_{State::idle};
  };

  std::shared_ptr<detail::Pending<T>> pending_;
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
