#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "histories/history.hpp"
#include "protocol/acquire.hpp"
#include "protocol/extend.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/release.hpp"
#include "protocol/validity.hpp"
#include "sim/bell.hpp"
#include "sim/task.hpp"

namespace redismutex::sim {

class Process;

/// A lock that was taken. Does what engine::Lease, engine::Tenure and engine::Hold do.
class Lease : public std::enable_shared_from_this<Lease> {
 public:
  /// `bell`: of the thread that is inside, rung when the lock is lost.
  Lease(Process& process, Bell& bell, int client, const protocol::Key& key, protocol::OwnerId id,
        std::chrono::milliseconds expiry, const protocol::Acquire::Held& held);

  const protocol::Key& key() const noexcept { return key_; }
  const protocol::OwnerId& id() const noexcept { return id_; }
  std::chrono::milliseconds expiry() const noexcept { return expiry_; }
  std::uint64_t token() const noexcept { return token_; }
  protocol::Instant valid_until() const noexcept { return validity_.until(); }
  bool valid() const;

  /// If it was handed over with a short lease, sees to it that it becomes the full one.
  void confirm();

  /// From now on somebody is inside.
  void enter(bool watched);

  Task<> extend(std::chrono::milliseconds expiry);
  void conclude_renewal(std::chrono::milliseconds expiry, const protocol::Extend::Extended& extended);
  void note_gone();
  void lose();
  bool ended() const noexcept { return ended_; }

  /// Nobody is inside any more. Then one of these.
  void leave();
  Task<> release();

  /// Whether it may go to another thread of the process; if so, it does, with the next token.
  bool pass(int most);

 private:
  void extend_in_passing(protocol::Tracking tracking);
  void conclude_extension(const protocol::Extend& machine);
  void record(histories::Event::Kind kind, protocol::Instant until = {}, std::string note = {}) const;
  void note_validity(protocol::Instant before) const;
  void note_waiting(std::int64_t elsewhere);
  protocol::Release::Terms release_terms() const;
  std::string turn() const;
  static Task<> see_to_claim(std::shared_ptr<Lease> lease);
  static Task<> tell_of_the_end(std::shared_ptr<Lease> lease);

  Process& process_;
  Bell& bell_;
  const int client_;
  const protocol::Key& key_;
  const protocol::OwnerId id_;
  const std::chrono::milliseconds expiry_;
  std::uint64_t token_;
  const bool handed_over_;
  const bool token_is_ahead_;
  const std::string details_;  // of a place in line that may be left
  protocol::Validity validity_;
  bool inside_ = false;
  protocol::Tracking tracking_ = protocol::Tracking::off;  // of extensions: whether the key is watched
  bool ended_ = false;
  bool lost_ = false;

  // See engine::Lease.
  bool extending_in_passing_ = false;
  protocol::Instant asked_at_;
  std::int64_t waiting_elsewhere_ = 0;
  int passes_ = 0;  // since others are known to wait
  int all_passes_ = 0;
};

}  // namespace redismutex::sim
