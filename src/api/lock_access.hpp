#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <redismutex/lock.hpp>
#include <redismutex/observer.hpp>
#include <redismutex/options.hpp>

#include "engine/acquisition.hpp"
#include "engine/extending.hpp"
#include "engine/giving_back.hpp"
#include "engine/lease.hpp"

namespace redismutex::api {

class QuorumLock;
class Runtime;

/// What it takes to give a lock back, or to extend it, for those who drive that themselves.
struct LockAccess {
  /// Of one that is at a quorum; none: it is not.
  static const std::shared_ptr<QuorumLock>& quorum(const Lock& lock) noexcept { return lock.quorum_; }

  /// Of one that is not at a quorum.
  struct Parts {
    std::shared_ptr<Runtime> runtime;
    std::shared_ptr<engine::Lease> lease;
    engine::Lease::Turn turn;
    engine::Lines::Ticket ticket;
    std::shared_ptr<const Options> options;
  };

  static Parts parts(const Lock& lock);

  static Lock make(std::shared_ptr<Runtime> runtime, engine::Acquisition::Granted granted,
                   std::shared_ptr<const Options> options) noexcept;
  static Lock make(std::shared_ptr<QuorumLock> quorum) noexcept;

  static std::chrono::milliseconds expiry(const Lock& lock) noexcept;
  static bool is_inherited(const Lock& lock) noexcept { return lock.inherited(); }

  /// As Lock::valid_for(), without asking.
  static std::chrono::milliseconds valid_for(const Lock& lock) noexcept;

  /// The end of a hold. Both before the first step, the second one once; and then what came of it: tells the Observer and the log, and throws
  /// what Lock::release() throws. The lock is to be forgotten afterwards.
  static void check_release(const Lock& lock);
  static std::chrono::nanoseconds began_at(const Lock& lock) noexcept {
    return lock.inherited() ? std::chrono::nanoseconds{} : lock.began_at();
  }
  static void conclude(const Lock& lock, const engine::GivingBack::Outcome& outcome, std::chrono::nanoseconds began);
  /// In place of both, in the background; if it is inherited nothing is given back. The Observer is told if it was not yet.
  static void give_back(const Lock& lock, bool is_told) noexcept;
  static void forget(Lock& lock) noexcept { const Lock::Forgets forgets{lock}; }

  /// The same for an extension.
  static void check_extension(const Lock& lock);
  static void conclude(const Parts& parts, engine::Extending& extending);
};

}  // namespace redismutex::api
