#pragma once

#include <memory>

#include "engine/quorum/bell.hpp"
#include "engine/quorum/quorum_lease.hpp"
#include "protocol/instant.hpp"
#include "route/background.hpp"
#include "route/procedure.hpp"

namespace redismutex::engine {

/// Has a lock of a quorum that is renewed ask again for the votes that it lacks, with each renewal, until it is over. In the Background.
class Collecting final : public route::Background::Operation, private route::Procedure {
 public:
  Collecting(std::weak_ptr<QuorumLease> lease, protocol::Instant::duration pause, std::shared_ptr<Bell> bell)
      : lease_{std::move(lease)}, pause_{pause}, bell_{std::move(bell)} {}

 private:
  route::Procedure& procedure() noexcept override { return *this; }
  void note_waker(route::Waker* waker) noexcept override { bell_->lead_to(waker); }
  void over(End /*end*/) noexcept override { bell_->lead_to(nullptr); }

  Step start(protocol::Instant now) override {
    next_ = now + pause_;
    return Sleep{.until = next_};
  }
  Step resume(Event&& /*event*/, protocol::Instant now) override {
    const std::shared_ptr<QuorumLease> lease = lease_.lock();
    if (!lease || !lease->is_held()) return Done{};
    if (now < next_) return Sleep{.until = next_};
    lease->attend();
    return start(now);
  }

  const std::weak_ptr<QuorumLease> lease_;
  const protocol::Instant::duration pause_;
  const std::shared_ptr<Bell> bell_;
  protocol::Instant next_{};
};

}  // namespace redismutex::engine
