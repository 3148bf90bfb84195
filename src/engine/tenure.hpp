#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/observer.hpp>
#include <stop_token>

#include "engine/caretaker.hpp"
#include "engine/keeper.hpp"
#include "engine/lease.hpp"
#include "engine/local_queues.hpp"
#include "protocol/extend.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::engine {

class Session;

/// One Lock's time with a lease, from when it was taken to when it was given back or lost. Shared by the Lock and by those
/// who look after it in other threads. Thread-safe.
class Tenure : public std::enable_shared_from_this<Tenure> {
 public:
  /// `ticket`: of the holder in its process's own line for the key; none if it went past it. After an exception the lease is
  /// the caller's still.
  Tenure(Session& session, std::unique_ptr<Lease>&& lease, std::optional<LocalQueues::Ticket> ticket);
  ~Tenure();
  Tenure(const Tenure&) = delete;
  Tenure& operator=(const Tenure&) = delete;

  const protocol::Key& key() const noexcept { return key_; }
  const protocol::OwnerId& id() const noexcept { return id_; }
  std::uint64_t token() const noexcept { return token_; }
  protocol::Instant began() const noexcept { return began_; }
  const std::optional<LocalQueues::Ticket>& ticket() const noexcept { return ticket_; }

  /// Until when the lock can be relied on; a time long past once it was lost or has ended.
  protocol::Instant valid_until();

  /// Whether it still has the short lease that it was handed over with.
  bool is_claim();

  /// Sends for the full one, if nobody has.
  void confirm();

  /// See Lease. The first returns nothing once the tenure has ended.
  std::optional<protocol::Instant> begin_extension(const protocol::Extend::Terms& terms);
  void conclude_extension(const protocol::Extend& machine);
  void conclude_renewal(std::chrono::milliseconds expiry, const protocol::Extend::Extended& extended);
  void note_gone();

  /// Has the caretaker look after it until it ends. Later calls change nothing.
  void look_after(const Caretaker::Care& care);

  /// For an extension: it must not end the tracking of a key that is looked after.
  protocol::Tracking extension_tracking();

  /// Takes the lease, to give it back or pass it on: from now on nobody is told of a loss. Once only.
  std::unique_ptr<Lease> end();

  /// Stops when the lock is lost before it has ended. Callbacks run in the thread of the timers, or in the one that finds
  /// out by an extension of its own.
  std::stop_token lost_token();

  /// Tells of the loss, the first time; later, and after the end, it does nothing. Not to be called with a lock held.
  void lose();

  /// The same when giving back, after the end, found that it was gone.
  void was_gone();

  /// For a child of fork(): leaves in memory what the parent's threads may have locked.
  void abandon() noexcept;

 private:
  std::optional<protocol::Instant> look_for_loss();
  void watch_the_end();
  protocol::Tracking tracking() const { return care_ ? protocol::Tracking::on : protocol::Tracking::off; }
  void settle();
  void note_extension();
  void tell(std::unique_lock<std::mutex> lock);

  Session& session_;
  const protocol::Key key_;
  const protocol::OwnerId id_;
  const std::uint64_t token_;
  const std::optional<LocalQueues::Ticket> ticket_;
  const protocol::Instant began_;

  std::mutex mutex_;                                // guards what follows
  std::unique_ptr<Lease> lease_;                    // none once it has ended
  bool gone_ = false;                               // the server said so
  bool lost_ = false;                               // it was told
  std::stop_source lost_source_{std::nostopstate};  // made when somebody asks
  std::optional<Keeper::Ticket> timer_;
  std::optional<Caretaker::Ticket> care_;
};

}  // namespace redismutex::engine
