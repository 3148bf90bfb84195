#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace redismutex::testing {

/// A part of a coroutine, which is awaited once, and begins then. It ends with a T, or with what it has thrown.
template <class T = void>
class [[nodiscard]] Steps {
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  struct GoesOn {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      return ended.promise().awaits;
    }
    void await_resume() const noexcept {}
  };
  struct Promise {
    std::coroutine_handle<> awaits;
    std::optional<Value> value;
    std::exception_ptr error;

    std::suspend_always initial_suspend() const noexcept { return {}; }
    GoesOn final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { error = std::current_exception(); }
  };

 public:
  struct ReturnsNothing : Promise {
    Steps get_return_object() { return Steps{std::coroutine_handle<ReturnsNothing>::from_promise(*this)}; }
    void return_void() { this->value.emplace(); }
  };
  struct ReturnsValue : Promise {
    Steps get_return_object() { return Steps{std::coroutine_handle<ReturnsValue>::from_promise(*this)}; }
    void return_value(Value returned) { this->value.emplace(std::move(returned)); }
  };
  using promise_type = std::conditional_t<std::is_void_v<T>, ReturnsNothing, ReturnsValue>;

  Steps(Steps&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
  Steps& operator=(Steps&&) = delete;
  ~Steps() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaits) noexcept {
    handle_.promise().awaits = awaits;
    return handle_;
  }
  T await_resume() {
    auto& promise = handle_.promise();
    if (promise.error) std::rethrow_exception(promise.error);
    if constexpr (!std::is_void_v<T>) return std::move(*promise.value);
  }

 private:
  explicit Steps(std::coroutine_handle<promise_type> handle) noexcept : handle_{handle} {}

  std::coroutine_handle<promise_type> handle_;
};

}  // namespace redismutex::testing
