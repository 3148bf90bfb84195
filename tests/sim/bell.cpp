#include "sim/bell.hpp"

#include <utility>

#include "sim/process.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {

void Bell::Wait::await_suspend(std::coroutine_handle<> sleeper) const {
  ++state->sleeps;
  state->sleeper = sleeper;
  if (time != never) plan(state, time);
}

void Bell::ring() {
  if (state_->sleeper)
    plan(state_, state_->world.now() + state_->world.random.between(Time{0}, std::chrono::microseconds{50}));
}

void Bell::wake() noexcept {
  state_->news = true;
  ring();
}

void Bell::plan(const std::shared_ptr<State>& state, Time time) {
  state->world.agenda.at(time, [state, sleep = state->sleeps] { wake(state, sleep); });
}

void Bell::wake(const std::shared_ptr<State>& state, unsigned sleep) {
  if (!state->sleeper || state->sleeps != sleep || !state->process.alive()) return;
  if (state->process.paused_until() > state->world.now()) {
    plan(state, state->process.paused_until());
    return;
  }
  std::exchange(state->sleeper, nullptr).resume();
}

}  // namespace redismutex::sim
