#include "engine/clean_ups.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <redismutex/printable.hpp>
#include <utility>
#include <variant>

#include "engine/session.hpp"
#include "protocol/verdict.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;

constexpr std::chrono::milliseconds pause_between_tries{250};

}  // namespace

/// One to be given back.
struct CleanUpTask {
  enum class Went { well, badly, badly_for_long };

  Remains remains;
  Went went = Went::badly;
  std::string trouble = {};
  Instant due{};         // the next try
  bool is_last = false;  // there is none after this one
};

class CleanUps::Attempt final : public Conversing<protocol::Release> {
 public:
  /// Takes the first of the tasks.
  Attempt(std::shared_ptr<Landing> landing, Tasks& tasks)
      : Conversing{landing->setting, landing->setting.terms(), tasks.front().remains.key, tasks.front().remains.id,
                   terms_of(tasks.front().remains)},
        landing_{std::move(landing)} {
    task_.splice(task_.end(), tasks, tasks.begin());
  }

  /// Whether the first of the tasks is on its way. If there is no memory for it, it is left or lost.
  static bool begin(const std::shared_ptr<Landing>& landing, Tasks& tasks) noexcept try {
    landing->setting.background().start(std::make_shared<Attempt>(landing, tasks));
    return true;
  } catch (const std::exception&) {
    return false;
  }

  void over(End end) noexcept override {
    Task& task = task_.front();
    try {
      note(task, end);
    } catch (const std::bad_alloc&) {
      task.went = Went::badly;
      task.trouble = route::out_of_memory;
    }
    if (!landing_->leave(task_) && end == End::done) try_once_more(task);
  }

 private:
  using Went = Task::Went;

  static protocol::Release::Terms terms_of(const Remains& remains) {
    return {.valid_until = remains.until,
            .token = remains.token,
            .details = remains.details,
            .former_details = remains.former_details,
            .dead = protocol::Release::Dead::clear,
            .label = remains.label};
  }

  void note(Task& task, End end) const {
    task.went = Went::badly;
    if (end == End::abandoned) {
      task.trouble = "it was given up";
    } else if (const auto& failure = conversation_.failure()) {
      task.went = failure->permanent() ? Went::badly_for_long : Went::badly;
      task.trouble = "the reason: " + failure->text;
    } else if (const auto* refusal = std::get_if<protocol::Refusal>(&machine_.outcome())) {
      // A server that is full, or out of order, is so for a while.
      const bool forbidden = protocol::verdict(refusal->text) == protocol::Verdict::forbidden;
      task.went = forbidden ? Went::badly_for_long : Went::badly;
      task.trouble = "the server said: " + refusal->text;
    } else {
      task.went = Went::well;
    }
  }

  /// After the end of the Session.
  void try_once_more(Task& task) noexcept {
    const bool is_left = task.went == Went::badly && task.remains.until > landing_->setting.now();
    if (is_left && !std::exchange(task.is_last, true)) begin(landing_, task_);
  }

  const std::shared_ptr<Landing> landing_;
  Tasks task_;  // one, whose texts the machine uses
};

CleanUps::CleanUps(Session& session) : Rounds{session, most_under_way}, session_{session} {}

CleanUps::~CleanUps() { close(); }

void CleanUps::close() noexcept {
  {
    const std::lock_guard lock{mutex_};
    closed_ = true;
  }
  if (!Rounds::close()) return;
  take_results([this](Tasks& task) { waiting_.splice(waiting_.end(), task); });
  waiting_.splice(waiting_.end(), pausing_);
  waiting_.splice(waiting_.end(), fresh_);
  const Instant now = session_.now();
  for (Tasks each; !waiting_.empty(); each.clear()) {
    each.splice(each.end(), waiting_, waiting_.begin());
    Task& task = each.front();
    if (task.went == Task::Went::badly_for_long || task.remains.until <= now) continue;
    task.is_last = true;
    Attempt::begin(landing_, each);
  }
}

void CleanUps::add(Remains remains) noexcept try {
  get_ready();
  Tasks task(1, Task{.remains = std::move(remains)});
  std::unique_lock lock{mutex_};
  if (closed_) {
    lock.unlock();
    task.front().is_last = true;
    Attempt::begin(landing_, task);
    return;
  }
  fresh_.splice(fresh_.end(), task);
  session_.background().call(*this, session_.now());
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see the header
}

Instant CleanUps::run(Instant now) noexcept {
  take_results([&](Tasks& task) { take_in(task, now); });
  while (!pausing_.empty() && pausing_.front().due <= now) waiting_.splice(waiting_.end(), pausing_, pausing_.begin());
  {
    const std::lock_guard lock{mutex_};
    waiting_.splice(waiting_.end(), fresh_);
  }
  while (has_room() && !waiting_.empty()) {
    Tasks next;
    next.splice(next.end(), waiting_, waiting_.begin());
    if (next.front().remains.until <= now) {
      tell_log(next.front());
    } else if (Attempt::begin(landing_, next)) {
      note_begun();
    } else if (!next.empty()) {
      take_in(next, now);
    }
  }
  return pausing_.empty() ? Instant::max() : pausing_.front().due;
}

/// A server that is busy or full is so for a while: what stays would be handed the lock, and nobody would take it. A missing
/// right or password may be given at any time: a person is told at once.
void CleanUps::take_in(Tasks& task, Instant now) noexcept {
  Task& taken = task.front();
  if (taken.went == Task::Went::well) {
    told_ = false;
    return;
  }
  taken.due = now + pause_between_tries;
  const bool is_over = taken.due >= taken.remains.until;
  if (is_over || taken.went == Task::Went::badly_for_long) tell_log(taken);
  if (!is_over) pausing_.splice(pausing_.end(), task);
}

void CleanUps::tell_log(const Task& task) noexcept {
  if (task.trouble.empty() || std::exchange(told_, true)) return;
  try {
    constexpr std::size_t longest = 80;
    session_.router()
        .server_of(task.remains.key)
        .log(std::string{"lock '"}
                 .append(printable(task.remains.key.text(), longest))
                 .append("', or a place in line for it, could not be given back, and goes by itself; ")
                 .append(task.trouble));
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
  }
}

}  // namespace redismutex::engine
