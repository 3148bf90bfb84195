#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "protocol/instant.hpp"
#include "route/background.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::route {

/// A procedure on its way in the Background, which can be stopped. Belongs to those who wait for it, and, while it is under way, to the
/// Background. Thread-safe.
class Driven : public Waker {
 public:
  /// The procedure is told that it is wanted no more, as soon as it can take that. At any time, also after the end.
  void stop() noexcept;

  /// By whatever wakes the procedure, with locks held.
  void wake() noexcept override;

 protected:
  Driven() = default;
  ~Driven() = default;

  /// Once. `self`: this. It may be over when this returns. Throws std::bad_alloc; then nothing has begun.
  void drive(Background& background, std::shared_ptr<Driven> self);

 private:
  /// What the Background has of it; in itself, so that nothing is allocated for it.
  class Operation final : public Background::Operation {
   public:
    explicit Operation(Driven& driven) noexcept : driven_{driven} {}
    Procedure& procedure() noexcept override { return driven_.stoppable_; }
    void note_waker(Waker* waker) noexcept override { driven_.note_waker(waker); }
    void over(End end) noexcept override;

   private:
    Driven& driven_;
  };

  /// The procedure, and the end of all interest in it.
  class Stoppable final : public Procedure {
   public:
    explicit Stoppable(Driven& driven) noexcept : driven_{driven} {}
    Step start(protocol::Instant now) override;
    Step resume(Event&& event, protocol::Instant now) override;

   private:
    Step mind_stop(Step step, protocol::Instant now);

    Driven& driven_;
  };

  /// What is to be driven. It stays the same from drive() on.
  virtual Procedure& procedure() noexcept = 0;

  /// Once: it is done, or, and why, could not be driven to its end. In any thread, with no lock held.
  virtual void over(std::optional<Failure> why) noexcept = 0;

  void note_waker(Waker* waker) noexcept;

  Stoppable stoppable_{*this};
  Operation operation_{*this};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // a leaf but for what wake() takes
  Waker* waker_ = nullptr;
};

}  // namespace redismutex::route
