// The text of <redismutex/asio.hpp> and <redismutex/boost_asio.hpp>, for one Asio each, behind asio_context.ipp. Not to be included by others.

#include <atomic>
#include <chrono>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <redismutex/async.hpp>
#include <stop_token>
#include <string>
#include <thread>
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

/// Has the handler called with what an operation comes to, by the handler's own executor, else by `Default`. Destroys itself.
template <class T, class Handler, class Default>
class Completes final : public redismutex::detail::Receiver<T>, private Waiting {
 public:
  using AssociatedExecutor = net::associated_executor_t<Handler, Default>;

  /// An operation that can not begin completes with that error; where no executor is known, it throws.
  static void start(Handler handler, const std::shared_ptr<redismutex::detail::Pending<T>>& pending,
                    const Executor& works, const Default& otherwise) {
    Completes* self = nullptr;
    try {
      self = new Completes{handler, pending, works, otherwise};  // NOLINT(cppcoreguidelines-owning-memory): see above
    } catch (...) {
      return refuse(std::move(handler), otherwise, std::current_exception());
    }
    std::exception_ptr error;
    try {
      return pending->start(*self);
    } catch (...) {
      error = std::current_exception();
    }
    Handler back = std::move(*self->handler_);
    self->abandoned();
    refuse(std::move(back), otherwise, error);
  }

  static void refuse(Handler handler, const Default& otherwise, const std::exception_ptr& error) {
    if constexpr (std::is_same_v<AssociatedExecutor, net::system_executor>) {
      std::rethrow_exception(error);
    } else {
      const AssociatedExecutor executor = net::get_associated_executor(handler, otherwise);
      net::post(executor, Completion{executor, std::move(handler), error});
    }
  }

 private:
  /// Takes the handler when nothing can fail any more.
  Completes(Handler& handler, std::shared_ptr<redismutex::detail::Pending<T>> pending, const Executor& works,
            const Default& otherwise)
      : pending_{std::move(pending)},
        hold_{works.poster() ? works.poster()->hold() : nullptr},
        executor_{net::get_associated_executor(handler, otherwise)},
        work_{std::in_place, *executor_},
        life_{life_of(*executor_)},
        home_{life_of(otherwise)},
        place_{life_->add(*this)} {
    try {
      if (home_ != life_) place_at_home_ = home_->add(*this);
    } catch (...) {
      life_->remove(place_);
      throw;
    }
    handler_.emplace(std::move(handler));
  }
  ~Completes() = default;

  /// The handler with what it is called with, in the handler's memory. What that throws comes out of its executor, as Asio has it.
  struct Completion {
    using allocator_type = net::associated_allocator_t<Handler>;

    AssociatedExecutor executor;
    Handler handler;
    Outcome<T> outcome;

    allocator_type get_allocator() const noexcept { return net::get_associated_allocator(handler); }
    void operator()() {
      try {
        tell(std::move(handler), std::move(outcome));
      } catch (...) {
        net::post(executor, [error = std::current_exception()] { std::rethrow_exception(error); });
      }
    }
  };

  /// It is there until the handler has what it is to have: so that its context stays.
  void receive(Outcome<T> outcome) noexcept override {
    told_by_ = std::this_thread::get_id();
    try {
      net::dispatch(*executor_, Completion{*executor_, std::move(*handler_), std::move(outcome)});
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory; it goes as if the context had ended
    }
    abandoned();
  }

  void abandoned() noexcept override {
    told_by_ = std::this_thread::get_id();
    let_go();
    leave(nullptr);
    delete this;
  }

  bool claim() noexcept override { return pending_->claim(); }

  void abandon(const Life& by) noexcept override {
    pending_->detach();
    let_go();
    leave(&by);
    delete this;
  }

  void note_child() noexcept override {
    if (work_) end_in_child(*work_);
    work_.reset();
  }

  bool is_told_here() const noexcept override { return told_by_ == std::this_thread::get_id(); }

  /// Of all that belongs to a context, as long as that stays.
  void let_go() noexcept {
    handler_.reset();
    work_.reset();
    executor_.reset();
  }

  /// `but`: of which it is no part any more.
  void leave(const Life* but) noexcept {
    if (life_.get() != but) life_->remove(place_);
    if (place_at_home_ && home_.get() != but) home_->remove(*place_at_home_);
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
  std::optional<AssociatedExecutor> executor_;
  std::optional<net::executor_work_guard<AssociatedExecutor>> work_;
  const std::shared_ptr<Life> life_;
  const std::shared_ptr<Life> home_;  // of the mutex's context: the operation ends with either
  std::optional<Handler> handler_;
  std::atomic<std::thread::id> told_by_{};
  const Life::Place place_;
  std::optional<Life::Place> place_at_home_;
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
    using Completing = Completes<T, std::decay_t<Handler>, Executor>;
    std::shared_ptr<redismutex::detail::Pending<T>> pending;
    try {
      pending = std::move(begin_)(stop_token_of(handler)).pending();
    } catch (...) {
      return Completing::refuse(std::forward<Handler>(handler), executor_, std::current_exception());
    }
    Completing::start(std::forward<Handler>(handler), pending, works_, executor_);
  }

 private:
  Begin begin_;
  Executor executor_;
  redismutex::Executor works_;
};

/// `Token` is what the caller's was deduced as: one that is the caller's is not moved from.
template <class T, class Token, class Executor, class Begin>
auto initiate(Executor executor, redismutex::Executor works, Begin begin, std::remove_reference_t<Token>& token) {
  return net::async_initiate<Token, Signature<T>>(
      Initiation<T, Begin, Executor>{std::move(begin), std::move(executor), std::move(works)}, token);
}

}  // namespace detail

/// An AsyncMutex whose operations complete by an executor of Asio, and take completion tokens. Handlers are called with a
/// std::exception_ptr, which is null if all went well, and what was asked for; so are those of what can not begin, for a bad key, say. Copies are the same one; any number of threads may share it.
///
/// A context that ends with operations under way takes their handlers with it; what they would have held is given back. Cancellation, of
/// whatever type, is total: a cancelled operation holds nothing. Where this Asio has no cancellation slots (before 1.20) pass the time
/// limit, or end the context.
template <class Executor = net::any_io_executor>
class BasicMutex {
 public:
  using executor_type = Executor;
  using DefaultToken = net::default_completion_token_t<Executor>;

  /// What a token's `as_default_on` makes of it.
  template <class Other>
  struct rebind_executor {
    using other = BasicMutex<Other>;
  };

  /// Throws as AsyncMutex does.
  BasicMutex(Executor executor, Connection connection, Options options = {})
      : executor_{std::move(executor)},
        mutex_{std::move(connection), std::move(options), detail::Posts<Executor>{executor_}} {}

  /// The executor of this context.
  template <class Context>
    requires std::derived_from<Context, net::execution_context>
  BasicMutex(Context& context, Connection connection, Options options = {})
      : BasicMutex{Executor{context.get_executor()}, std::move(connection), std::move(options)} {}

  /// The same mutex, by another kind of executor.
  template <class Other>
    requires(!std::same_as<Other, Executor> && std::convertible_to<const Other&, Executor>)
  // NOLINTNEXTLINE(google-explicit-constructor): it is the same one
  BasicMutex(const BasicMutex<Other>& other) : executor_{other.executor_}, mutex_{other.mutex_} {}

  executor_type get_executor() const noexcept { return executor_; }
  const Options& options() const noexcept { return mutex_.options(); }

  /// As AsyncMutex::acquire_lock. Handler: void(std::exception_ptr, AsyncLock).
  template <class Token = DefaultToken>
  auto async_acquire_lock(std::string key, Token&& token = {}) const {
    return detail::initiate<redismutex::AsyncLock, Token>(
        executor_, mutex_.executor(),
        [mutex = mutex_, key = std::move(key)](std::stop_token stop) mutable {
          return mutex.acquire_lock(std::move(key), std::move(stop));
        },
        token);
  }

  /// As AsyncMutex::try_acquire_lock. Handler: void(std::exception_ptr, std::optional<AsyncLock>).
  template <class Token = DefaultToken>
  auto async_try_acquire_lock(std::string key, Token&& token = {}) const {
    return detail::initiate<std::optional<redismutex::AsyncLock>, Token>(
        executor_, mutex_.executor(),
        [mutex = mutex_, key = std::move(key)](std::stop_token stop) mutable {
          return mutex.try_acquire_lock(std::move(key), std::move(stop));
        },
        token);
  }

  /// As AsyncMutex::try_acquire_lock_for. Handler: void(std::exception_ptr, std::optional<AsyncLock>).
  template <class Token = DefaultToken>
  auto async_try_acquire_lock_for(std::string key, std::chrono::milliseconds limit, Token&& token = {}) const {
    return detail::initiate<std::optional<redismutex::AsyncLock>, Token>(
        executor_, mutex_.executor(),
        [mutex = mutex_, key = std::move(key), limit](std::stop_token stop) mutable {
          return mutex.try_acquire_lock_for(std::move(key), limit, std::move(stop));
        },
        token);
  }

 private:
  template <class Other>
  friend class BasicMutex;

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
  return detail::initiate<void, Token>(net::system_executor{}, std::move(works), begin, token);
}

/// As AsyncLock::extend(). Handler: void(std::exception_ptr, std::chrono::milliseconds), the time left to rely on. Can not be cancelled. The
/// lock must stay until it is begun.
template <class Token>
auto async_extend(redismutex::AsyncLock& lock, std::chrono::milliseconds expiry, Token&& token) {
  const auto begin = [&lock, expiry](const std::stop_token& /*stop*/) { return lock.extend(expiry); };
  return detail::initiate<std::chrono::milliseconds, Token>(net::system_executor{}, lock.executor(), begin, token);
}

/// As AsyncLock::lost(). Handler: void(std::exception_ptr, Loss). The lock must stay until it is begun.
template <class Token>
auto async_lost(const redismutex::AsyncLock& lock, Token&& token) {
  const auto begin = [&lock](std::stop_token stop) { return lock.lost(std::move(stop)); };
  return detail::initiate<Loss, Token>(net::system_executor{}, lock.executor(), begin, token);
}

}  // namespace REDISMUTEX_ASIO_NAME
}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
