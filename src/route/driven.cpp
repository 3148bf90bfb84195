#include "route/driven.hpp"

#include <system_error>
#include <variant>

#include "net/failure.hpp"

namespace redismutex::route {

void Driven::Operation::over(End end) noexcept {
  driven_.note_waker(nullptr);
  if (end == End::abandoned) return driven_.over(Failure{Failure::Kind::exhausted, net::out_of_memory});
  driven_.over(std::nullopt);
}

void Driven::drive(Background& background, std::shared_ptr<Driven> self) try {
  background.start_here(std::shared_ptr<Background::Operation>{std::move(self), &operation_});
} catch (const std::system_error& error) {
  over(Failure{Failure::Kind::exhausted, error.code().message()});
}

void Driven::stop() noexcept {
  stopped_ = true;
  wake();
}

void Driven::wake() noexcept {
  const std::lock_guard lock{mutex_};
  if (waker_ != nullptr) waker_->wake();
}

void Driven::note_waker(Waker* waker) noexcept {
  const std::lock_guard lock{mutex_};
  waker_ = waker;
}

// ---- the procedure --------------------------------------------------------------------------------------------------

Procedure::Step Driven::Stoppable::start(protocol::Instant now) {
  return mind_stop(driven_.procedure().start(now), now);
}

Procedure::Step Driven::Stoppable::resume(Event&& event, protocol::Instant now) {
  if (driven_.stopped_ && std::holds_alternative<Woken>(event)) return driven_.procedure().resume(Stopped{}, now);
  return mind_stop(driven_.procedure().resume(std::move(event), now), now);
}

/// What is under way is waited for: it may be a grant.
Procedure::Step Driven::Stoppable::mind_stop(Step step, protocol::Instant now) {
  if (!driven_.stopped_ || std::holds_alternative<Done>(step) || std::holds_alternative<Send>(step)) return step;
  return driven_.procedure().resume(Stopped{}, now);
}

}  // namespace redismutex::route
