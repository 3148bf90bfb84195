#pragma once

#include <coroutine>
#include <memory>

#include "route/waker.hpp"
#include "sim/agenda.hpp"

namespace redismutex::sim {

class Process;
class World;

/// What one thread of a process sleeps at: until a time, or until it is rung. A process that is paused wakes later, one that
/// is dead never. Rung without need or by nobody: the thread looks itself what it was woken for.
class Bell final : public route::Waker {
 public:
  Bell(World& world, Process& process) : state_{std::make_shared<State>(State{world, process})} {}
  ~Bell() = default;
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  struct Wait;
  Wait wait_until(Time time) { return {state_, time}; }
  void ring();

  /// Rings, and is remembered until take_news().
  void wake() noexcept override;
  bool has_news() const noexcept { return state_->news; }
  void take_news() noexcept { state_->news = false; }

 private:
  struct State {
    World& world;
    Process& process;
    std::coroutine_handle<> sleeper = nullptr;
    unsigned sleeps = 0;
    bool news = false;
  };
  static void plan(const std::shared_ptr<State>& state, Time time);
  static void wake(const std::shared_ptr<State>& state, unsigned sleep);

  std::shared_ptr<State> state_;

 public:
  struct Wait {
    const std::shared_ptr<State>& state;
    Time time;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> sleeper) const;
    void await_resume() const noexcept {}
  };
};

}  // namespace redismutex::sim
