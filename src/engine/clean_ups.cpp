#include "engine/clean_ups.hpp"

#include <chrono>
#include <exception>
#include <optional>
#include <redismutex/printable.hpp>
#include <utility>
#include <variant>

#include "engine/conversation.hpp"
#include "engine/session.hpp"
#include "protocol/verdict.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;

constexpr std::chrono::milliseconds pause_between_tries{250};

}  // namespace

/// One to be given back.
struct CleanUps::Task {
  enum class Went { well, badly, badly_for_long };

  Remains remains;
  Went went = Went::badly;
  std::string trouble = {};
  Instant due{};         // the next try
  bool is_last = false;  // there is none after this one
  std::unique_ptr<Task> next = {};
};

CleanUps::Tasks::~Tasks() {
  while (take()) continue;  // one by one: a long chain would need a deep stack
}

void CleanUps::Tasks::add(std::unique_ptr<Task> task) noexcept {
  Task* const added = task.get();
  (last_ != nullptr ? last_->next : first_) = std::move(task);
  last_ = added;
}

void CleanUps::Tasks::add_all(Tasks& others) noexcept {
  while (std::unique_ptr<Task> task = others.take()) add(std::move(task));
}

std::unique_ptr<CleanUps::Task> CleanUps::Tasks::take() noexcept {
  std::unique_ptr<Task> task = std::move(first_);
  if (!task) return task;
  first_ = std::move(task->next);
  if (!first_) last_ = nullptr;
  return task;
}

/// What the attempts need, and where they leave what came of them; outlives the Session if need be.
struct CleanUps::Landing {
  route::Environment& environment;
  route::Server& server;
  route::Background& background;
  const Session::Limits limits;

  std::mutex mutex;               // guards the rest; before the Background's
  route::Background::Duty* duty;  // none: nobody wants to know any more
  Tasks landed;
};

class CleanUps::Attempt final : public route::Background::Operation {
 public:
  Attempt(std::shared_ptr<Landing> landing, std::unique_ptr<Task>& task)
      : landing_{std::move(landing)},
        machine_{task->remains.key,
                 task->remains.id,
                 {.valid_until = task->remains.until,
                  .token = task->remains.token,
                  .details = task->remains.details,
                  .former_details = task->remains.former_details,
                  .dead = protocol::Release::Dead::clear,
                  .label = task->remains.label}},
        conversation_{landing_->environment,
                      landing_->server,
                      machine_,
                      {.deadline = landing_->environment.now() + landing_->limits.connect_timeout +
                                   landing_->limits.command_timeout,
                       .patience = landing_->limits.connect_timeout}},
        task_{std::move(task)} {}

  /// Whether it is on its way. If there is no memory for it, the task is left or lost.
  static bool begin(const std::shared_ptr<Landing>& landing, std::unique_ptr<Task>& task) noexcept try {
    landing->background.start(std::make_unique<Attempt>(landing, task));
    return true;
  } catch (const std::exception&) {
    return false;
  }

  route::Procedure& procedure() noexcept override { return conversation_; }

  void over(End end) noexcept override {
    try {
      note(end);
    } catch (const std::bad_alloc&) {
      task_->went = Task::Went::badly;
      task_->trouble = route::out_of_memory;
    }
    std::unique_lock lock{landing_->mutex};
    if (landing_->duty == nullptr) {
      lock.unlock();
      if (end == End::done) try_once_more();
      return;
    }
    landing_->landed.add(std::move(task_));
    landing_->background.call(*landing_->duty, landing_->environment.now());
  }

 private:
  using Went = Task::Went;

  void note(End end) {
    task_->went = Went::badly;
    if (end == End::abandoned) {
      task_->trouble = "it was given up";
    } else if (const auto& failure = conversation_.failure()) {
      task_->went = failure->permanent() ? Went::badly_for_long : Went::badly;
      task_->trouble = "the reason: " + failure->text;
    } else if (const auto* refusal = std::get_if<protocol::Refusal>(&machine_.outcome())) {
      // A server that is full, or out of order, is so for a while.
      const bool forbidden = protocol::verdict(refusal->text) == protocol::Verdict::forbidden;
      task_->went = forbidden ? Went::badly_for_long : Went::badly;
      task_->trouble = "the server said: " + refusal->text;
    } else {
      task_->went = Went::well;
    }
  }

  /// After the end of the Session.
  void try_once_more() noexcept {
    const bool is_left = task_->went == Went::badly && task_->remains.until > landing_->environment.now();
    if (is_left && !std::exchange(task_->is_last, true)) begin(landing_, task_);
  }

  const std::shared_ptr<Landing> landing_;
  protocol::Release machine_;
  engine::Conversation conversation_;
  std::unique_ptr<Task> task_;
};

CleanUps::CleanUps(Session& session)
    : session_{session},
      landing_{new Landing{.environment = session.environment(),
                           .server = session.server(),
                           .background = session.background(),
                           .limits = session.limits(),
                           .mutex = {},
                           .duty = this,
                           .landed = {}}} {}

CleanUps::~CleanUps() { close(); }

void CleanUps::close() noexcept {
  {
    const std::lock_guard lock{landing_->mutex};
    landing_->duty = nullptr;
  }
  {
    const std::lock_guard lock{enlisting_};
    closed_ = true;
    if (!std::exchange(enlisted_, false)) return;
  }
  session_.background().withdraw(*this);
  waiting_.add_all(landing_->landed);
  waiting_.add_all(pausing_);
  waiting_.add_all(fresh_);
  const Instant now = session_.now();
  while (std::unique_ptr<Task> task = waiting_.take()) {
    if (task->went == Task::Went::badly_for_long || task->remains.until <= now) continue;
    task->is_last = true;
    Attempt::begin(landing_, task);
  }
}

void CleanUps::add(Remains remains) noexcept try {
  get_ready();
  auto task = std::make_unique<Task>(Task{.remains = std::move(remains)});
  const std::lock_guard lock{mutex_};
  fresh_.add(std::move(task));
  session_.background().call(*this, session_.now());
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see the header
}

void CleanUps::get_ready() {
  const std::lock_guard lock{enlisting_};
  if (enlisted_ || closed_) return;
  session_.background().get_ready();
  session_.background().enlist(*this);
  enlisted_ = true;
}

Instant CleanUps::run(Instant now) noexcept {
  Tasks landed;
  {
    const std::lock_guard lock{landing_->mutex};
    landed.add_all(landing_->landed);
  }
  while (std::unique_ptr<Task> task = landed.take()) {
    --under_way_;
    take_in(std::move(task), now);
  }
  while (pausing_.first() != nullptr && pausing_.first()->due <= now) waiting_.add(pausing_.take());
  {
    const std::lock_guard lock{mutex_};
    waiting_.add_all(fresh_);
  }
  while (under_way_ < most_under_way && waiting_.first() != nullptr) {
    std::unique_ptr<Task> task = waiting_.take();
    if (task->remains.until <= now) {
      tell_log(*task);
    } else if (Attempt::begin(landing_, task)) {
      ++under_way_;
    } else if (task) {
      take_in(std::move(task), now);
    }
  }
  return pausing_.first() != nullptr ? pausing_.first()->due : Instant::max();
}

/// A server that is busy or full is so for a while: what stays would be handed the lock, and nobody would take it. A missing
/// right or password may be given at any time: a person is told at once.
void CleanUps::take_in(std::unique_ptr<Task> task, Instant now) noexcept {
  if (task->went == Task::Went::well) {
    told_ = false;
    return;
  }
  task->due = now + pause_between_tries;
  const bool is_over = task->due >= task->remains.until;
  if (is_over || task->went == Task::Went::badly_for_long) tell_log(*task);
  if (!is_over) pausing_.add(std::move(task));
}

void CleanUps::tell_log(const Task& task) noexcept {
  if (task.trouble.empty() || std::exchange(told_, true)) return;
  try {
    constexpr std::size_t longest = 80;
    session_.server().log(std::string{"lock '"}
                              .append(printable(task.remains.key.text(), longest))
                              .append("', or a place in line for it, could not be given back, and goes by itself; ")
                              .append(task.trouble));
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
  }
}

}  // namespace redismutex::engine
