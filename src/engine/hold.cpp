#include "engine/hold.hpp"

#include <redismutex/errors.hpp>
#include <utility>
#include <variant>

#include "engine/clock.hpp"
#include "engine/report.hpp"
#include "net/fork.hpp"
#include "protocol/extend.hpp"
#include "protocol/lease.hpp"
#include "protocol/release.hpp"

namespace redismutex::engine {
namespace {

constexpr protocol::Instant long_past{};

}  // namespace

Hold::Hold(std::shared_ptr<Session> session, protocol::Key key, protocol::OwnerId id, std::chrono::milliseconds expiry,
           protocol::Instant valid_until)
    : session_{std::move(session)},
      key_{std::move(key)},
      id_{std::move(id)},
      expiry_{expiry},
      fork_generation_{net::fork_generation()},
      valid_until_{valid_until} {}

Hold::~Hold() { stop_watching(); }

bool Hold::inherited() const noexcept { return fork_generation_ != net::fork_generation(); }

protocol::Instant Hold::valid_until() const noexcept { return inherited() ? long_past : valid_until_.load(); }

void Hold::release() {
  if (inherited())
    throw MutexUnlockError{
        report::cannot(*session_, report::action("release", key_), "it is held by the parent process")};
  stop_watching();
  protocol::Release machine{key_, id_, valid_until_};
  const auto failure = session_->run(machine, session_->patience());
  valid_until_ = long_past;
  if (failure) report::raise(*session_, report::action("release", key_), *failure);
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
    report::raise(*session_, report::action("release", key_), *refused);
  }
  if (std::holds_alternative<protocol::Release::Gone>(machine.outcome())) {
    throw MutexUnlockError{
        report::cannot(*session_, report::action("release", key_), "it had expired, or was deleted or taken over")};
  }
}

void Hold::extend(std::chrono::milliseconds expiry) {
  const protocol::Instant old_until = valid_until();
  const protocol::Instant started = now();
  if (protocol::time_left(old_until, started).count() == 0) {
    mark_lost();
    throw MutexUnlockError{report::cannot(*session_, report::action("extend", key_), "its lease has ended")};
  }
  // A shorter lease may take effect on the server although its answer never comes: count on the shorter from now on.
  set_valid_until(std::min(old_until, protocol::valid_until(started, expiry)));

  protocol::Extend machine{key_, id_, expiry};
  const auto failure = session_->run(machine, std::min(session_->patience(), deadline_at(old_until)));
  if (failure) report::raise(*session_, report::action("extend", key_), *failure);
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
    report::raise(*session_, report::action("extend", key_), *refused);
  }
  if (const auto* extended = std::get_if<protocol::Extend::Extended>(&machine.outcome())) {
    set_valid_until(extended->valid_until);
    return;
  }
  mark_lost();
  throw MutexUnlockError{
      report::cannot(*session_, report::action("extend", key_), "it had expired, or was deleted or taken over")};
}

std::stop_token Hold::loss() const {
  if (inherited()) {
    std::stop_source lost;
    lost.request_stop();
    return lost.get_token();
  }
  const std::lock_guard lock{mutex_};
  if (watch_) return watch_->lost.get_token();
  watch_ = std::make_shared<Watch>();
  watch_->valid_until = valid_until();
  set_timer();
  return watch_->lost.get_token();
}

void Hold::set_timer() const {
  watch_->timer =
      session_->timers().schedule(watch_->valid_until, [watch = watch_]() -> std::optional<protocol::Instant> {
        const protocol::Instant until = watch->valid_until;
        if (now() < until) return until;
        watch->lost.request_stop();
        return std::nullopt;
      });
}

void Hold::set_valid_until(protocol::Instant until) {
  valid_until_ = until;
  const std::lock_guard lock{mutex_};
  if (!watch_) return;
  watch_->valid_until = until;
  session_->timers().cancel(watch_->timer);
  set_timer();
}

void Hold::mark_lost() {
  set_valid_until(long_past);
  std::shared_ptr<Watch> watch;
  {
    const std::lock_guard lock{mutex_};
    watch = watch_;
  }
  if (watch) watch->lost.request_stop();
}

void Hold::stop_watching() noexcept {
  if (inherited()) return;  // there the lock may be one that a thread of the parent holds for ever
  const std::lock_guard lock{mutex_};
  if (watch_) session_->timers().cancel(watch_->timer);
}

}  // namespace redismutex::engine
