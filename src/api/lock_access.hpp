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

class Runtime;

/// What it takes to give a lock back, or to extend it, for those who drive that themselves.
struct LockAccess {
  struct Parts {
    std::shared_ptr<Runtime> runtime;
    std::shared_ptr<engine::Lease> lease;
    engine::Lease::Turn turn;
    engine::Lines::Ticket ticket;
    std::shared_ptr<const Options> options;
  };

  /// None of an empty one.
  static Parts parts(const Lock& lock);

  static Lock make(std::shared_ptr<Runtime> runtime, engine::Acquisition::Granted granted,
                   std::shared_ptr<const Options> options) noexcept;

  static bool is_empty(const Lock& lock) noexcept { return lock.lease_ == nullptr; }
  static bool is_inherited(const Lock& lock) noexcept { return lock.inherited(); }

  /// As Lock::valid_for(), without asking.
  static std::chrono::milliseconds valid_for(const Lock& lock) noexcept;

  /// The end of a hold. Both before the first step, the second one once; and then what came of it: tells the Observer and the log, and throws
  /// what Lock::release() throws. The lock is to be forgotten afterwards.
  static void check_release(const Lock& lock);
  static std::chrono::nanoseconds began_at(const Lock& lock) noexcept { return lock.began_at(); }
  static void conclude(const Lock& lock, const engine::GivingBack::Outcome& outcome, std::chrono::nanoseconds began);
  static void forget(Lock& lock) noexcept { const Lock::Forgets forgets{lock}; }

  /// The same for an extension.
  static void check_extension(const Lock& lock);
  static void conclude(const Parts& parts, engine::Extending& extending);
};

}  // namespace redismutex::api
