#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "route/driven.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"
#include "sim/bell.hpp"
#include "sim/peer.hpp"
#include "sim/process.hpp"
#include "sim/task.hpp"

namespace redismutex::sim {

/// How a procedure of one client is driven: by its thread, or, as those of coroutines are, in the background of its process, while whoever wants it
/// only waits.
class Drive {
 public:
  enum class Where { thread, background };

  Drive(Process& process, Bell& bell, Where where) : process_{process}, bell_{bell} {
    if (where == Where::background) errand_ = std::make_shared<Errand>(bell);
  }

  /// For whatever wakes the procedure.
  route::Waker& waker() noexcept { return errand_ ? static_cast<route::Waker&>(*errand_) : bell_; }

  /// Once; returns when it is done.
  Task<> run(std::shared_ptr<route::Procedure> given, Stop* stop = nullptr) {
    const std::shared_ptr<route::Procedure> procedure = std::move(given);
    if (!errand_) {
      co_await process_.peer().drive(bell_, *procedure, stop);
      co_return;
    }
    errand_->begin(process_.session().background(), procedure);
    for (bool is_stopped = false; !errand_->is_over();) {
      if (stop != nullptr && stop->requested && !std::exchange(is_stopped, true)) errand_->stop();
      co_await bell_.wait_until(never);
    }
  }

 private:
  class Errand final : public route::Driven, public std::enable_shared_from_this<Errand> {
   public:
    explicit Errand(Bell& bell) : bell_{bell} {}

    void begin(route::Background& background, std::shared_ptr<route::Procedure> procedure) {
      procedure_ = std::move(procedure);
      drive(background, shared_from_this());
    }
    bool is_over() const noexcept { return is_over_; }

   private:
    route::Procedure& procedure() noexcept override { return *procedure_; }
    void over(std::optional<route::Failure> /*none: there is memory, and no thread is needed*/) noexcept override {
      is_over_ = true;
      bell_.ring();
    }

    Bell& bell_;
    std::shared_ptr<route::Procedure> procedure_;
    bool is_over_ = false;
  };

  Process& process_;
  Bell& bell_;
  std::shared_ptr<Errand> errand_;
};

}  // namespace redismutex::sim
