#include "drivers.hpp"

#include <redismutex/asio.hpp>
//
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <future>
#include <thread>
#include <utility>

#include "support/loop.hpp"

namespace redismutex::testing {
namespace {

class TakenByThread final : public Taken {
 public:
  explicit TakenByThread(Lock lock) : lock_{std::move(lock)} {}

  std::string key() const override { return lock_.key(); }
  std::string value() const override { return lock_.value(); }
  std::optional<std::uint64_t> fencing_token() const override { return lock_.fencing_token(); }
  std::chrono::milliseconds valid_for() const override { return lock_.valid_for(); }
  std::stop_token lost_token() const override { return lock_.lost_token(); }
  void extend(std::chrono::milliseconds expiry) override { lock_.extend(expiry); }
  void release() override { lock_.release(); }

 private:
  Lock lock_;
};

class BlockingDriver final : public Driver {
 public:
  std::string name() const override { return "Blocking"; }

  std::unique_ptr<Taken> acquire(const Connection& connection, const Options& options, const std::string& key,
                                 const std::stop_token& stop) const override {
    return std::make_unique<TakenByThread>(RedisMutex{connection, options}.acquire_lock(key, stop));
  }

  std::unique_ptr<Taken> try_acquire(const Connection& connection, const Options& options, const std::string& key,
                                     std::optional<std::chrono::milliseconds> limit) const override {
    const RedisMutex mutex{connection, options};
    auto lock = limit ? mutex.try_acquire_lock_for(key, *limit) : mutex.try_acquire_lock(key);
    return lock ? std::make_unique<TakenByThread>(std::move(*lock)) : nullptr;
  }
};

class TakenByOperation final : public Taken {
 public:
  explicit TakenByOperation(AsyncLock lock) : lock_{std::move(lock)} {}
  ~TakenByOperation() override {
    try {
      if (!lock_.key().empty()) wait_for(lock_.release());
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): as a Lock that goes
    }
  }

  std::string key() const override { return lock_.key(); }
  std::string value() const override { return lock_.value(); }
  std::optional<std::uint64_t> fencing_token() const override { return lock_.fencing_token(); }
  std::chrono::milliseconds valid_for() const override { return lock_.valid_for(); }
  std::stop_token lost_token() const override { return lock_.lost_token(); }
  void extend(std::chrono::milliseconds expiry) override { wait_for(lock_.extend(expiry)); }
  void release() override { wait_for(lock_.release()); }

 private:
  AsyncLock lock_;
};

class CoroutineDriver final : public Driver {
 public:
  std::string name() const override { return "Coroutine"; }

  std::unique_ptr<Taken> acquire(const Connection& connection, const Options& options, const std::string& key,
                                 const std::stop_token& stop) const override {
    std::optional<AsyncLock> taken;
    const AsyncMutex mutex{connection, options, loop_.executor()};
    [&]() -> Coroutine { taken.emplace(co_await mutex.acquire_lock(key, stop)); }().get();
    return std::make_unique<TakenByOperation>(std::move(*taken));
  }

  std::unique_ptr<Taken> try_acquire(const Connection& connection, const Options& options, const std::string& key,
                                     std::optional<std::chrono::milliseconds> limit) const override {
    std::optional<AsyncLock> taken;
    const AsyncMutex mutex{connection, options, loop_.executor()};
    [&]() -> Coroutine {
      // Not as one expression: g++ 12 then awaits both.
      if (limit) {
        taken = co_await mutex.try_acquire_lock_for(key, *limit);
      } else {
        taken = co_await mutex.try_acquire_lock(key);
      }
    }()
                 .get();
    return taken ? std::make_unique<TakenByOperation>(std::move(*taken)) : nullptr;
  }

 private:
  mutable Loop loop_;
};

/// Its context reads by itself (reactor mode).
class AsioDriver final : public Driver {
 public:
  ~AsioDriver() override { work_.reset(); }

  std::string name() const override { return "Asio"; }

  std::unique_ptr<Taken> acquire(const Connection& connection, const Options& options, const std::string& key,
                                 const std::stop_token& stop) const override {
    const redismutex::asio::Mutex mutex{context_, connection, options};
    const auto cancel = std::make_shared<::asio::cancellation_signal>();  // for the loop's thread
    const auto taken = std::make_shared<std::promise<redismutex::asio::AsyncLock>>();
    const auto receive = [taken](std::exception_ptr error, redismutex::asio::AsyncLock lock) {
      if (error) return taken->set_exception(std::move(error));
      taken->set_value(std::move(lock));
    };
    ::asio::post(context_, [&, cancel, taken] {
      try {
        mutex.async_acquire_lock(key, ::asio::bind_cancellation_slot(cancel->slot(), receive));
      } catch (const std::exception&) {
        taken->set_exception(std::current_exception());
      }
    });
    const std::stop_callback on_stop{
        stop,
        [this, cancel] { ::asio::post(context_, [cancel] { cancel->emit(::asio::cancellation_type::terminal); }); }};
    return std::make_unique<TakenByOperation>(taken->get_future().get());
  }

  std::unique_ptr<Taken> try_acquire(const Connection& connection, const Options& options, const std::string& key,
                                     std::optional<std::chrono::milliseconds> limit) const override {
    const redismutex::asio::Mutex mutex{context_, connection, options};
    auto lock = limit ? mutex.async_try_acquire_lock_for(key, *limit, ::asio::use_future).get()
                      : mutex.async_try_acquire_lock(key, ::asio::use_future).get();
    return lock ? std::make_unique<TakenByOperation>(std::move(*lock)) : nullptr;
  }

 private:
  mutable ::asio::io_context context_;
  ::asio::executor_work_guard<::asio::io_context::executor_type> work_{context_.get_executor()};
  std::jthread thread_{[this] { context_.run(); }};
};

}  // namespace

const std::vector<const Driver*>& drivers() {
  static const BlockingDriver blocking;
  static const CoroutineDriver coroutine;
  static const AsioDriver asio;
  static const std::vector<const Driver*> all{&blocking, &coroutine, &asio};
  return all;
}

}  // namespace redismutex::testing
