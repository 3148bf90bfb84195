#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "engine/conversation.hpp"
#include "engine/rounds.hpp"
#include "protocol/acquire.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "route/list.hpp"

namespace redismutex::engine {

class Session;
class PlacesBatch;

/// Renews the places in line of all who wait at the server, in batches (protocol::Refresh), so that each waiter need not ask for itself:
/// 10,000 waiters cost about what 10,000 renewed leases do. Only a waiter with news is woken. One whose place could not be renewed is
/// woken, too, and looks by itself. Runs in the Background. Thread-safe.
///
/// A batch stays together from round to round, with copies of what it sends: so the memory of those who rest is not touched. Should the
/// Background stand still, one of the waiters finds out, and each looks by itself until it runs again.
///
/// Its mutex comes before those of WakeUps and of the Background.
class Places final : private Rounds<std::shared_ptr<PlacesBatch>> {
  using Instant = protocol::Instant;

 public:
  explicit Places(Session& session);
  ~Places();

  using Rounds::close;

  /// A waiter's place. Costs nothing before it rests.
  class Place final : public engine::PlaceKeeper, private route::Listed<Place> {
   public:
    /// All of them must outlive it. `acquire`: tells the details, which stay as they are while it rests. `delay`: as in its terms.
    Place(Places& places, const protocol::Key& key, const protocol::OwnerId& id, const protocol::Acquire& acquire,
          std::chrono::milliseconds delay) noexcept
        : places_{places}, key_{key}, id_{id}, acquire_{acquire}, delay_{delay} {}
    ~Place() { wake(Instant::min()); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    protocol::Instant rest(protocol::Instant now, protocol::Instant look_at) noexcept override;
    std::optional<protocol::Instant> wake(protocol::Instant now) noexcept override;

    /// From the next rest on.
    void change_delay(std::chrono::milliseconds delay) noexcept { delay_ = delay; }

   private:
    friend class Places;
    friend class PlacesBatch;
    friend class route::List<Place>;
    Places& places_;
    const protocol::Key& key_;
    const protocol::OwnerId& id_;
    const protocol::Acquire& acquire_;
    std::chrono::milliseconds delay_;

    // These belong to the driver's thread.
    bool rests_ = false;
    std::chrono::milliseconds kept_every_{0};  // while it rests
    std::uint16_t slot_ = 0;                   // the same

    // These are guarded by Places::mutex_.
    protocol::Instant due_;                        // the first time
    std::optional<protocol::Instant> renewed_at_;  // when it has left its batch
    PlacesBatch* batch_ = nullptr;                 // from the first renewal on; before that it is in its group's queue
    std::size_t part_ = 0;                         // of the batch
  };

 private:
  friend class PlacesBatch;
  using Batch = PlacesBatch;
  using Batches = std::list<std::shared_ptr<Batch>>;
  class Flight;

  /// The places that are renewed as often.
  struct Group {
    route::List<Place> fresh;  // in the order in which they are due
    Batches batches;           // the same; those that are not under way
    std::size_t size = 0;      // of all places
    Instant watch_at{};        // the last time that next_watch() gave

    Instant due() const noexcept;
    Instant next_watch(Instant now, std::chrono::milliseconds delay) noexcept;
  };

  Instant run(Instant now) noexcept override;
  bool get_ready() noexcept;
  Instant add(Place& place, Instant now, Instant due);
  void remove(Place& place) noexcept;
  static bool is_forgotten(const Place& place, Instant now) noexcept;
  void raise_alarm() noexcept;
  bool send_next(Instant now);
  std::shared_ptr<Batch> load(Instant now);
  static std::shared_ptr<Batch> next_batch(Group& group, std::chrono::milliseconds delay, Instant now);
  static void add_fresh(Group& group, Batch& batch, Instant last);
  static void merge(Group& group, Batch& batch, Instant last);
  void take_in(Batch& batch) noexcept;
  Instant next_due() noexcept;

  Session& session_;
  std::atomic<bool> stands_still_{false};  // the Background; as far as is known

  std::mutex mutex_;  // guards what follows
  std::map<std::chrono::milliseconds, Group> groups_;
  Batches under_way_;
};

}  // namespace redismutex::engine
