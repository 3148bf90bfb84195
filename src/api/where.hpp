#pragma once

#include <memory>
#include <redismutex/lock.hpp>
#include <redismutex/options.hpp>
#include <string>
#include <utility>

#include "api/lock_access.hpp"
#include "api/quorum.hpp"
#include "api/quorum_lock.hpp"
#include "api/runtime.hpp"
#include "engine/acquisition.hpp"
#include "engine/quorum/panel.hpp"
#include "engine/quorum/quorum_acquisition.hpp"
#include "engine/session.hpp"

/// Where a lock is to be taken, for those who drive an attempt, whatever drives it. Made before the lock is taken, so that nothing can fail afterwards.
namespace redismutex::api {

class Runtimes;

/// Throws std::invalid_argument for options that what the Connection leads to can not keep.
void check_place(const Runtimes& runtimes, const Options& options);

/// At what one Connection leads to.
class AtServer {
 public:
  using Acquisition = engine::Acquisition;

  AtServer(std::shared_ptr<Runtime> runtime, std::shared_ptr<const Options> options) noexcept
      : runtime_{std::move(runtime)}, options_{std::move(options)} {}

  const std::shared_ptr<Runtime>& runtime() const noexcept { return runtime_; }
  const Options& options() const noexcept { return *options_; }
  engine::Session& place() const noexcept { return runtime_->session(); }
  const std::string& name() const noexcept { return runtime_->server_name(); }
  void survey() const noexcept { runtime_->survey(); }

  /// Once: what was taken. The options stay: what is told of the attempt may be on its way yet.
  Lock hold(Acquisition::Granted granted) noexcept {
    return LockAccess::make(std::move(runtime_), std::move(granted), options_);
  }

 private:
  std::shared_ptr<Runtime> runtime_;
  std::shared_ptr<const Options> options_;
};

/// At a quorum. The Runtime is that of the first of its servers.
class AtQuorum {
 public:
  using Acquisition = engine::QuorumAcquisition;

  AtQuorum(const std::shared_ptr<Quorum>& quorum, const std::shared_ptr<const Options>& options)
      : quorum_{quorum}, options_{options}, lock_{std::make_shared<QuorumLock>(quorum, options)} {}

  const std::shared_ptr<Runtime>& runtime() const noexcept { return quorum_->first_owner(); }
  const Options& options() const noexcept { return *options_; }
  const std::shared_ptr<const engine::Panel>& place() const noexcept { return quorum_->panel(); }
  const std::string& name() const noexcept { return quorum_->server_name(); }
  void survey() const noexcept { quorum_->survey(); }

  Lock hold(Acquisition::Granted granted) noexcept {
    lock_->hold(std::move(granted.lease));
    return LockAccess::make(std::move(lock_));
  }

 private:
  std::shared_ptr<Quorum> quorum_;
  std::shared_ptr<const Options> options_;
  std::shared_ptr<QuorumLock> lock_;
};

}  // namespace redismutex::api
