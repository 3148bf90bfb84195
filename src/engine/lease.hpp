#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/clean_up.hpp"
#include "net/link.hpp"
#include "protocol/acquire.hpp"
#include "protocol/extend.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/release.hpp"
#include "protocol/validity.hpp"

namespace redismutex::engine {

class Session;

/// An extension that was sent and that nobody waits for: its answer is looked at when somebody wants to know.
class PendingExtension {
 public:
  ~PendingExtension();
  PendingExtension(const PendingExtension&) = delete;
  PendingExtension& operator=(const PendingExtension&) = delete;

  /// `key` and `id` must outlive it. None if there is no connection.
  static std::unique_ptr<PendingExtension> send(Session& session, const protocol::Key& key, const protocol::OwnerId& id,
                                                const protocol::Extend::Terms& terms);

  enum class State { pending, answered, failed };

  /// `failed`: no answer will come, or it was a refusal.
  State look();

  /// Once answered.
  const protocol::Extend& machine() const noexcept { return machine_; }

 private:
  PendingExtension(const protocol::Key& key, const protocol::OwnerId& id, const protocol::Extend::Terms& terms)
      : machine_{key, id, terms} {}

  struct Call final : net::Call {
    Call() noexcept : net::Call{[](net::Call& call) noexcept { static_cast<Call&>(call).over = true; }} {}
    std::atomic<bool> over{false};  // and nothing touches it any more
  };

  protocol::Extend machine_;
  std::shared_ptr<net::Link> link_;
  Call call_;
  protocol::Instant sent_at_;
};

/// A time of ownership of a key, which threads of one process may pass on among themselves. Not thread-safe.
class Lease {
 public:
  /// As it was granted. If it was handed over with a short lease, that is to be extended: see confirm().
  Lease(Session& session, protocol::Key key, protocol::OwnerId id, std::chrono::milliseconds expiry,
        const protocol::Acquire::Held& held);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  const protocol::Key& key() const noexcept { return key_; }
  const protocol::OwnerId& id() const noexcept { return id_; }
  std::chrono::milliseconds expiry() const noexcept { return expiry_; }

  /// The fencing token of the thread that is inside; 0: none was wanted.
  std::uint64_t token() const noexcept { return token_; }

  /// Takes in the answer to an extension in passing, if it has come: then the end may be another.
  bool settle();

  /// Whether it is still the short lease that it was handed over with.
  bool is_claim();

  /// Sends the extension of that one to the full lease, if none is under way, and the owner does not ask for another.
  /// `tracking`: whether the key is watched.
  void confirm(protocol::Tracking tracking);

  /// Until when it can be relied on, as far as answers have arrived; in the far past if it was lost.
  protocol::Instant valid_until();

  /// Sends an extension and goes on. From now on the lease is one of `expiry`.
  void extend_in_passing(std::chrono::milliseconds expiry, protocol::Tracking tracking = protocol::Tracking::off);

  /// The two halves of an extension that is waited for, by somebody who does not hold up this lease's other users
  /// meanwhile. The first returns the present end, the second takes in how it went; it is not called if nobody knows.
  protocol::Instant begin_extension(const protocol::Extend::Terms& terms);
  void conclude_extension(const protocol::Extend& machine);

  /// The same for one that never shortens, and so needs no first half.
  void conclude_renewal(std::chrono::milliseconds expiry, const protocol::Extend::Extended& extended);
  void note_gone() noexcept;

  /// Gives the key back on the server. Throws as Lock::release does.
  void release();

  /// Whether it may go to another thread of this process, at most `most` times in a row while others wait for it.
  bool may_be_passed(int most);

  /// It goes to another thread, with the next fencing token. No server has to know: a pass takes longer than a microsecond, so
  /// tokens do not rise faster than the clock that they come from.
  void note_pass() noexcept;

 private:
  void give_back();
  Remains remains() const;
  protocol::Release::Terms release_terms() const;
  void note_waiting(std::int64_t elsewhere);

  Session& session_;
  const protocol::Key key_;
  const protocol::OwnerId id_;
  std::chrono::milliseconds expiry_;
  std::uint64_t token_;
  const bool handed_over_;  // by another owner, not taken
  const bool token_is_ahead_;
  const std::string details_;  // of a place in line that may be left
  protocol::Validity validity_;
  std::unique_ptr<PendingExtension> extension_;
  protocol::Instant asked_at_;  // when the server was last asked how many wait
  std::int64_t waiting_elsewhere_ = 0;
  int passes_ = 0;  // since others are known to wait
};

}  // namespace redismutex::engine
