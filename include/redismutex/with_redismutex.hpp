#pragma once

#include <redismutex/config.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <redismutex/connection.hpp>
#include <redismutex/options.hpp>
#include <redismutex/redis_mutex.hpp>
#include <string>
#include <type_traits>
#include <utility>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// A function that holds a mutex while it runs. Made by with_redismutex and WithRedisMutex; callable like the function
/// itself. `KeySource` is a std::string, or a callable that makes the key from the call's own arguments.
///
/// The arguments are forwarded without copies; a key generator sees them first, as lvalues. What the function returns or
/// throws comes through, and the lock is free afterwards. A call throws what RedisMutex::acquire_lock throws; what a key
/// generator throws leaves no lock. As thread-safe as the function and the key generator are.
///
/// A call throws MutexUnlockError in place of the result when the lock was lost before the function returned: another may
/// have been inside meanwhile. What the function itself throws goes first. A release that the server did not answer, or
/// refused, while the lease lasted spoils no result: ConnectionOptions::log is told, and the lease ends by itself.
template <class KeySource, class Function>
class Guarded {
 public:
  Guarded(RedisMutex mutex, KeySource key_source, Function function)
      : mutex_{std::move(mutex)}, key_source_{std::move(key_source)}, function_{std::move(function)} {}

  template <class... Args>
    requires std::invocable<Function&, Args...>
  decltype(auto) operator()(Args&&... args) & {
    return call(*this, std::forward<Args>(args)...);
  }

  template <class... Args>
    requires std::invocable<const Function&, Args...>
  decltype(auto) operator()(Args&&... args) const& {
    return call(*this, std::forward<Args>(args)...);
  }

  template <class... Args>
    requires std::invocable<Function, Args...>
  decltype(auto) operator()(Args&&... args) && {
    return call(std::move(*this), std::forward<Args>(args)...);
  }

 private:
  template <class Self, class... Args>
  static decltype(auto) call(Self&& self, Args&&... args) {
    Lock lock = self.mutex_.acquire_lock(key_for(self.key_source_, args...));
    const auto run = [&]() -> decltype(auto) {
      return std::invoke(std::forward<Self>(self).function_, std::forward<Args>(args)...);
    };
    using Result = decltype(run());
    if constexpr (std::is_void_v<Result>) {
      run();
      lock.release_or_log();
    } else if constexpr (std::is_reference_v<Result>) {
      Result result = run();
      lock.release_or_log();
      return static_cast<Result>(result);
    } else if constexpr (std::is_move_constructible_v<Result>) {
      Result result = run();
      lock.release_or_log();
      return result;
    } else {
      // Only a destructor comes after the making of a result that can not be moved. (Not for all: when it throws, some
      // compilers leave the result undestroyed.)
      const ReleasedAtEnd end{lock};
      return run();
    }
  }

  struct ReleasedAtEnd {
    Lock& lock;
    const int exceptions = std::uncaught_exceptions();

    ~ReleasedAtEnd() noexcept(false) {
      if (std::uncaught_exceptions() == exceptions) lock.release_or_log();
    }
  };

  template <class Source, class... Args>
  static std::string key_for(Source& source, Args&... args) {
    if constexpr (std::is_same_v<KeySource, std::string>) {
      return source;
    } else {
      static_assert(std::is_invocable_v<Source&, Args&...>, "the key generator must accept the function's arguments");
      return std::string(std::invoke(source, args...));
    }
  }

  RedisMutex mutex_;
  KeySource key_source_;
  Function function_;
};

/// The reusable form: one way of making keys, for any number of functions.
///
///     WithRedisMutex decorate{connection, [](const Order& order) { return "order:" + order.id; }};
///     auto pay = decorate(pay_order);
///     auto ship = decorate(ship_order);
template <class KeySource>
class WithRedisMutex {
 public:
  /// Throws std::invalid_argument for bad options.
  WithRedisMutex(Connection connection, KeySource key_source, Options options = {})
      : mutex_{std::move(connection), std::move(options)}, key_source_{std::move(key_source)} {}

  /// `function` is any callable: a function, a lambda, a member function (called with the object as first argument).
  template <class Function>
  auto operator()(Function&& function) const& {
    return Guarded<KeySource, std::decay_t<Function>>{mutex_, key_source_, std::forward<Function>(function)};
  }

  /// The same for a decorator used once: its key generator is moved, not copied.
  template <class Function>
  auto operator()(Function&& function) && {
    return Guarded<KeySource, std::decay_t<Function>>{std::move(mutex_), std::move(key_source_),
                                                      std::forward<Function>(function)};
  }

 private:
  RedisMutex mutex_;
  KeySource key_source_;
};

template <class KeySource>
  requires std::convertible_to<KeySource, std::string>
WithRedisMutex(Connection, KeySource, Options = {}) -> WithRedisMutex<std::string>;

template <class KeySource>
WithRedisMutex(Connection, KeySource, Options = {}) -> WithRedisMutex<KeySource>;

/// Wraps a function so that it holds the mutex `key` while it runs. Throws std::invalid_argument for bad options; an
/// empty key is reported when the function is called.
template <class Function>
auto with_redismutex(Connection connection, std::string key, Function&& function, Options options = {}) {
  return WithRedisMutex{std::move(connection), std::move(key), std::move(options)}(std::forward<Function>(function));
}

/// The same with a key made from each call's own arguments.
template <class KeyGenerator, class Function>
  requires(!std::convertible_to<KeyGenerator, std::string>)
auto with_redismutex(Connection connection, KeyGenerator generate_key, Function&& function, Options options = {}) {
  return WithRedisMutex<KeyGenerator>{std::move(connection), std::move(generate_key),
                                      std::move(options)}(std::forward<Function>(function));
}

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
