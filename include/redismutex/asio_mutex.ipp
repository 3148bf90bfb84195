// The text of <redismutex/asio.hpp> and <redismutex/boost_asio.hpp>, for one Asio each, behind asio_context.ipp. Not to be included by others.

#include <chrono>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <redismutex/async.hpp>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

namespace redismutex {
inline namespace REDISMUTEX_ABI {
namespace REDISMUTEX_ASIO_NAME {

/// The lock of a BasicMutex: an AsyncLock, and functions of this namespace are found by it.
class AsyncLock : public redismutex::AsyncLock {
 public:
  using redismutex::AsyncLock::AsyncLock;
  // NOLINTNEXTLINE(google-explicit-constructor): it is the same lock
  AsyncLock(redismutex::AsyncLock&& lock) noexcept : redismutex::AsyncLock{std::move(lock)} {}
};

namespace detail {

/// What operations have, in terms of this namespace.
template <class T>
T given(T value) {
  return value;
}
inline AsyncLock given(redismutex::AsyncLock lock) { return lock; }
inline std::optional<AsyncLock> given(std::optional<redismutex::AsyncLock> lock) {
  return lock ? std::optional<AsyncLock>{std::move(*lock)} : std::nullopt;
}
template <class T>
using Given = decltype(given(std::declval<T>()));

/// Has the handler called with what an operation comes to, by the handler's own executor. Destroys itself.
template <class T, class Handler>
class Completes final : public redismutex::detail::Receiver<T>, private Waiting {
 public:
  using AssociatedExecutor = net::associated_executor_t<Handler>;

  static void start(Handler handler, const std::shared_ptr<redismutex::detail::Pending<T>>& pending,
                    const Executor& works) {
    auto* const self =
        new Completes{std::move(handler), pending, works};  // NOLINT(cppcoreguidelines-owning-memory): see above
    try {
      pending->start(*self);
    } catch (...) {
      self->abandoned();
      throw;
    }
  }

 private:
  Completes(Handler handler, std::shared_ptr<redismutex::detail::Pending<T>> pending, const Executor& works)
      : pending_{std::move(pending)},
        hold_{works.poster() ? works.poster()->hold() : nullptr},
        work_{net::make_work_guard(handler)},
        life_{life_of(net::get_associated_executor(handler))},
        handler_{std::move(handler)},
        place_{life_->add(*this)} {}
  ~Completes() = default;

  void receive(Outcome<T> outcome) noexcept override {
    life_->remove(place_);
    const AssociatedExecutor executor = net::get_associated_executor(handler_);
    net::dispatch(executor, [handler = std::move(handler_), outcome = std::move(outcome)]() mutable {
      tell(std::move(handler), std::move(outcome));
    });
    delete this;
  }

  void abandoned() noexcept override {
    life_->remove(place_);
    delete this;
  }

  void abandon() noexcept override {
    pending_->detach();
    abandoned();
  }

  static void tell(Handler handler, Outcome<T> outcome) {
    const std::exception_ptr error = outcome.error();
    if constexpr (std::is_void_v<T>) {
      std::move(handler)(error);
    } else {
      std::move(handler)(error, outcome ? given(std::move(outcome).get()) : Given<T>{});
    }
  }

  const std::shared_ptr<redismutex::detail::Pending<T>> pending_;
  const std::shared_ptr<void> hold_;
  const net::executor_work_guard<AssociatedExecutor> work_;
  const std::shared_ptr<Life> life_;
  Handler handler_;
  const Life::Place place_;
};

template <class T>
struct SignatureOf {
  using type = void(std::exception_ptr, Given<T>);
};
template <>
struct SignatureOf<void> {
  using type = void(std::exception_ptr);
};
template <class T>
using Signature = typename SignatureOf<T>::type;

/// A stop_token that the handler's cancellation slot stops, whatever the type of the cancellation: afterwards nothing is held.
template <class Handler>
std::stop_token stop_token_of([[maybe_unused]] const Handler& handler) {
#if REDISMUTEX_ASIO_HAS_SLOTS
  auto slot = net::get_associated_cancellation_slot(handler);
  if (slot.is_connected()) {
    std::stop_source stop;
    slot.assign([stop](net::cancellation_type type) mutable {
      if (type != net::cancellation_type::none) stop.request_stop();
    });
    return stop.get_token();
  }
#endif
  return {};
}

/// Begins an operation when a completion token has made a handler of itself. `Begin` makes it, from a stop_token.
template <class T, class Begin, class Executor>
class Initiation {
 public:
  using executor_type = Executor;

  Initiation(Begin begin, Executor executor, redismutex::Executor works)
      : begin_{std::move(begin)}, executor_{std::move(executor)}, works_{std::move(works)} {}

  executor_type get_executor() const noexcept { return executor_; }

  template <class Handler>
  void operator()(Handler&& handler) && {
    Operation<T> operation = std::move(begin_)(stop_token_of(handler));
    Completes<T, std::decay_t<Handler>>::start(std::forward<Handler>(handler), std::move(operation).pending(), works_);
  }

 private:
  Begin begin_;
  Executor executor_;
  redismutex::Executor works_;
};

template <class T, class Executor, class Begin, class Token>
auto initiate(Executor executor, redismutex::Executor works, Begin begin, Token& token) {
  return net::async_initiate<Token, Signature<T>>(
      Initiation<T, Begin, Executor>{std::move(begin), std::move(executor), std::move(works)}, token);
}

}  // namespace detail

/// An AsyncMutex whose operations complete by an executor of Asio, and take completion tokens. Handlers are called with a
/// std::exception_ptr, which is null if all went well, and what was asked for. Copies are the same one; any number of threads may share it.
///
/// A context that ends with operations under way takes their handlers with it; what they would have held is given back. Cancellation, of
/// whatever type, is total: a cancelled operation holds nothing. Where this Asio has no cancellation slots (before 1.20) pass the time
/// limit, or end the context.
template <class Executor = net::any_io_executor>
class BasicMutex {
 public:
  using executor_type = Executor;
  using DefaultToken = net::default_completion_token_t<Executor>;

  /// Throws as AsyncMutex does.
  BasicMutex(Executor executor, Connection connection, Options options = {})
      : executor_{std::move(executor)},
        mutex_{std::move(connection), std::move(options), detail::Posts<Executor>{executor_}} {}

  /// The executor of this context.
  template <class Context>
    requires std::derived_from<Context, net::execution_context>
  BasicMutex(Context& context, Connection connection, Options options = {})
      : BasicMutex{Executor{context.get_executor()}, std::move(connection), std::move(options)} {}

  executor_type get_executor() const noexcept { return executor_; }
  const Options& options() const noexcept { return mutex_.options(); }

  /// As AsyncMutex::acquire_lock. Handler: void(std::exception_ptr, AsyncLock).
  template <class Token = DefaultToken>
  auto async_acquire_lock(std::string key, Token&& token = {}) const {
    return detail::initiate<redismutex::AsyncLock>(
        executor_, mutex_.executor(),
        [mutex = mutex_, key = std::move(key)](std::stop_token stop) mutable {
          return mutex.acquire_lock(std::move(key), std::move(stop));
        },
        token);
  }

  /// As AsyncMutex::try_acquire_lock. Handler: void(std::exception_ptr, std::optional<AsyncLock>).
  template <class Token = DefaultToken>
  auto async_try_acquire_lock(std::string key, Token&& token = {}) const {
    return detail::initiate<std::optional<redismutex::AsyncLock>>(
        executor_, mutex_.executor(),
        [mutex = mutex_, key = std::move(key)](const std::stop_token& /*stop*/) mutable {
          return mutex.try_acquire_lock(std::move(key));
        },
        token);
  }

  /// As AsyncMutex::try_acquire_lock_for. Handler: void(std::exception_ptr, std::optional<AsyncLock>).
  template <class Token = DefaultToken>
  auto async_try_acquire_lock_for(std::string key, std::chrono::milliseconds limit, Token&& token = {}) const {
    return detail::initiate<std::optional<redismutex::AsyncLock>>(
        executor_, mutex_.executor(),
        [mutex = mutex_, key = std::move(key), limit](std::stop_token stop) mutable {
          return mutex.try_acquire_lock_for(std::move(key), limit, std::move(stop));
        },
        token);
  }

 private:
  Executor executor_;
  AsyncMutex mutex_;
};

using Mutex = BasicMutex<>;

/// As AsyncLock::release(). Handler: void(std::exception_ptr). Can not be cancelled.
template <class Token>
auto async_release(redismutex::AsyncLock lock, Token&& token) {
  redismutex::Executor works = lock.executor();
  const auto begin = [lock = std::make_shared<redismutex::AsyncLock>(std::move(lock))](
                         const std::stop_token& /*stop*/) { return lock->release(); };
  return detail::initiate<void>(net::system_executor{}, std::move(works), begin, token);
}

/// As AsyncLock::extend(). Handler: void(std::exception_ptr, std::chrono::milliseconds), the time left to rely on. Can not be cancelled. The
/// lock must stay until it is begun.
template <class Token>
auto async_extend(redismutex::AsyncLock& lock, std::chrono::milliseconds expiry, Token&& token) {
  const auto begin = [&lock, expiry](const std::stop_token& /*stop*/) { return lock.extend(expiry); };
  return detail::initiate<std::chrono::milliseconds>(net::system_executor{}, lock.executor(), begin, token);
}

/// As AsyncLock::lost(). Handler: void(std::exception_ptr, Loss). The lock must stay until it is begun.
template <class Token>
auto async_lost(const redismutex::AsyncLock& lock, Token&& token) {
  const auto begin = [&lock](std::stop_token stop) { return lock.lost(std::move(stop)); };
  return detail::initiate<Loss>(net::system_executor{}, lock.executor(), begin, token);
}

}  // namespace REDISMUTEX_ASIO_NAME
}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
