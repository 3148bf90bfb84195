#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <redismutex/errors.hpp>
#include <redismutex/executor.hpp>
#include <redismutex/operation.hpp>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

#include "api/runtime.hpp"
#include "route/background.hpp"
#include "route/callbacks.hpp"
#include "route/driven.hpp"
#include "route/helps.hpp"

namespace redismutex::api {

/// One asynchronous operation. Belongs to those who wait for it, and to whatever drives it; the last of them destroys it, in any thread.
template <class T>
class Task : public detail::Pending<T>, private detail::Completion, public std::enable_shared_from_this<Task<T>> {
 public:
  void start(detail::Receiver<T>& receiver) final {
    if (runtime_->inherited()) {
      throw LockCancelled{"cannot begin an operation on " + runtime_->server_name() +
                          ": the parent process has made it; make one in this process"};
    }
    get_ready();
    receiver_ = &receiver;
    try {
      begin();
    } catch (...) {
      if (receiver_.exchange(nullptr) != nullptr) throw;  // else it was cancelled, and told so, already
    }
  }

  bool claim() noexcept final { return receiver_.exchange(nullptr) != nullptr; }

  /// In a child of fork() it is the parent's.
  void detach() noexcept final {
    if (runtime_->inherited()) return;
    const auto is_abandoned = [this] {
      const std::thread::id by = abandoned_by_;
      return by != std::thread::id{} && by != std::this_thread::get_id();
    };
    if (!claim()) {
      while (is_abandoned()) std::this_thread::yield();
    }
    cancel();
  }

 protected:
  Task(std::shared_ptr<Runtime> runtime, Executor executor)
      : runtime_{std::move(runtime)}, executor_{std::move(executor)} {}

  Runtime& runtime() const noexcept { return *runtime_; }
  const std::shared_ptr<Runtime>& runtime_owner() const noexcept { return runtime_; }
  const Executor& executor() const noexcept { return executor_; }

  /// Once. Throws std::bad_alloc; then nothing has begun.
  virtual void begin() = 0;

  /// Any thread, any time after begin(), also after the end.
  virtual void cancel() noexcept {}

  /// Once, in the Executor: what it has come to.
  virtual T result() = 0;

  /// In its place, where the loop has ended: nobody asks what it has come to. In a thread for users' code.
  virtual void note_abandoned() noexcept {}

  /// From now on, until it is over, its loop reads, if that can. To be called before anything may end it. Throws std::bad_alloc.
  void begin_loop_use() { use_ = runtime_->loop_driver().use(executor_.poster(), runtime_); }

  /// It is over, and that is told. Only the first time, and not in a child of fork(). In any thread, with no lock held.
  void settle() noexcept {
    if (runtime_->inherited()) return;
    if (settled_.exchange(true)) return;
    self_ = this->weak_from_this().lock();
    if (!self_) return;  // nobody has it any more
    if (const auto& poster = executor_.poster()) return poster->add(*this);
    const std::shared_ptr<Runtime> runtime = runtime_;
    runtime->callbacks().run(std::move(job_));
  }

 private:
  struct RunsIt final : net::Job {
    explicit RunsIt(Task& its) noexcept : task{its} {}
    void run() noexcept override { static_cast<detail::Completion&>(task).run(); }
    Task& task;
  };

  struct AbandonsIt final : net::Job {
    explicit AbandonsIt(Task& its) noexcept : task{its} {}
    void run() noexcept override { static_cast<detail::Completion&>(task).abandon(); }
    Task& task;
  };

  /// Without a loop it completes in a thread of ours, which is there before it begins. What only the Observer needs it for may do without.
  void get_ready() {
    const bool has_loop = executor_.poster() != nullptr;
    if (!has_loop) job_ = std::make_unique<RunsIt>(*this);
    if (has_loop && runtime_->observer() == nullptr) return;
    try {
      runtime_->callbacks().get_ready();
    } catch (const std::system_error& error) {
      if (!has_loop) throw ResourceError{error.what()};
    }
  }

  void run() noexcept final {
    const std::shared_ptr<Task> self = std::move(self_);
    // Its thread goes on with those that get something from what it does: mostly, the next to have the lock.
    const route::Helps helps{runtime_->session().background()};
    Outcome<T> outcome = outcome_now();
    if (detail::Receiver<T>* const receiver = receiver_.exchange(nullptr)) receiver->receive(std::move(outcome));
    use_.end();
  }

  /// What goes with the receiver is users' code.
  void abandon() noexcept final {
    if (route::InRound::is_here() && leave_to_a_worker()) return;
    const std::shared_ptr<Task> self = std::move(self_);
    use_.end();
    have_it_noted();
    abandoned_by_ = std::this_thread::get_id();
    if (detail::Receiver<T>* const receiver = receiver_.exchange(nullptr)) receiver->abandoned();
    abandoned_by_ = std::thread::id{};
  }

  /// By a thread that is made for that, as the Observer is told of all else.
  void have_it_noted() noexcept try {
    if (runtime_->inherited()) return;
    runtime_->callbacks().get_ready();
    runtime_->callbacks().run(route::make_job([self = this->shared_from_this()] { self->note_abandoned(); }));
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory, or no thread
  }

  bool leave_to_a_worker() noexcept try {
    const std::shared_ptr<Runtime> runtime = runtime_;
    if (runtime->inherited()) return false;
    runtime->callbacks().get_ready();
    runtime->callbacks().run(std::make_unique<AbandonsIt>(*this));
    return true;
  } catch (const std::exception&) {  // no memory, or no thread
    return false;
  }

  Outcome<T> outcome_now() noexcept try {
    if constexpr (std::is_void_v<T>) {
      result();
      return Outcome<T>{typename Outcome<T>::Value{}};
    } else {
      return Outcome<T>{result()};
    }
  } catch (...) {
    return Outcome<T>{std::current_exception()};
  }

  const std::shared_ptr<Runtime> runtime_;
  const Executor executor_;
  std::unique_ptr<RunsIt> job_;  // where there is no Poster
  LoopDriver::Use use_;
  std::atomic<detail::Receiver<T>*> receiver_{nullptr};
  std::atomic<std::thread::id> abandoned_by_{};
  std::atomic<bool> settled_{false};
  std::shared_ptr<Task> self_;  // from the end on, until that is told
};

/// A Task on its way in the Background: what is driven there is another procedure, which can be stopped.
template <class T>
class DrivenTask : public Task<T>, protected route::Driven {
 protected:
  using Task<T>::Task;

  /// Begins to drive it, after begin_loop_use().
  void drive() { route::Driven::drive(this->runtime().session().background(), {this->shared_from_this(), this}); }

  /// Why it could not be driven; none: it has ended by itself.
  const std::optional<route::Failure>& failure() const noexcept { return failure_; }

 private:
  void over(std::optional<route::Failure> why) noexcept final {
    failure_ = std::move(why);
    this->settle();
  }

  std::optional<route::Failure> failure_;
};

}  // namespace redismutex::api
