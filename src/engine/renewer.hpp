#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/rounds.hpp"
#include "engine/schedule.hpp"
#include "protocol/extend.hpp"
#include "protocol/instant.hpp"

namespace redismutex::engine {

class Lease;
class Session;
struct RenewerBatch;

/// The one schedule of leases: claims that become full leases, renewals, looks at watched keys, labels, and ends. Runs in the Background.
///
/// What is due at about the same time goes into one command, and what went together stays together: the leases of a connection soon
/// need a few commands a round, however many they are. All commands of a round are under way at once; each lease is judged alone, by its own
/// end, and where there is more to send than may be under way, the most urgent goes first. Thread-safe.
///
/// Its mutex comes after those of leases, and before the Background's.
class Renewer final : private Rounds<std::shared_ptr<RenewerBatch>> {
 public:
  /// `session` must outlive it. It must outlive all leases.
  explicit Renewer(Session& session);
  ~Renewer();

  using Rounds::close;

  /// A lease's place in the schedule, within the lease, so that nothing is allocated when it is due some time.
  class Seat : private Schedule::Node {
   public:
    explicit Seat(Lease& lease) noexcept : lease_{lease} {}

   private:
    friend class Renewer;
    using Index = std::unordered_multimap<std::string_view, Seat*>;

    Lease& lease_;
    std::atomic<bool> known_{false};                           // in any way, to the renewer
    bool under_way_ = false;                                   // or about to be: belongs to the Background
    std::size_t together_ = protocol::ExtendMany::most_items;  // with so many it may go in one command: the same
    protocol::Instant::duration slack_{
        0};  // so much too early it may go along with others. The rest is guarded by the renewer's mutex
    std::optional<Index::iterator> entry_;
    bool watched_ = false;
  };

  using Rounds::get_ready;

  /// The same, where nothing may fail. False: there is no thread, and nothing happens; callers for whom that matters call get_ready()
  /// before.
  bool get_ready_if_possible() noexcept;

  /// Sees to it that the lease can be watched without memory. Throws std::bad_alloc.
  void admit(Lease& lease);

  /// The server is to tell when the key is changed by others, from the next visit on. After admit().
  void attend(Lease& lease) noexcept;

  /// All that at once, also for leases that have begun; and a visit soon. Throws as get_ready(), and std::bad_alloc.
  void watch(Lease& lease);

  /// It is to be visited at that time at the latest. After get_ready(). May be called with the lease's mutex held.
  void schedule(Lease& lease, protocol::Instant due, protocol::Instant::duration slack = {}) noexcept;

  /// Whether no lease is known by its key, see admit().
  bool is_idle() noexcept;

  /// It needs no care any more. May be called with the lease's mutex held.
  void dismiss(Lease& lease) noexcept;

  /// Tells the Observer. Without a lease's mutex.
  void tell_failure(std::size_t leases, std::string_view reason) noexcept;

  void key_changed(std::string_view key) noexcept;

  /// All keys may have been changed, or the server: visits those leases that are watched, and those that another server has confirmed.
  void all_changed() noexcept;

  /// Keys are at other servers than before: visits the leases of these.
  void keys_moved() noexcept;

 private:
  using Batch = RenewerBatch;
  struct Ready;
  struct Labels;
  class Flight;
  class Labelling;
  class Confirming;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

  using Instant = protocol::Instant;

  Instant run(Instant now) noexcept override;
  void gather(Instant now);
  void plan(const std::shared_ptr<Lease>& lease, Instant now) noexcept;
  void write_label(const std::shared_ptr<Lease>& lease, Instant now) noexcept;
  void send(Instant now);
  std::shared_ptr<Batch> load(Instant now);
  void put_back(const Batch& batch, Instant now) noexcept;
  void take_off(const std::shared_ptr<Batch>& batch, Instant now);
  void take_in(Batch& batch, Instant now);
  bool confirm(Batch& batch, Instant now) noexcept;
  bool begin_to_confirm(Batch& batch, Instant now);
  void take_in_confirmed(Batch& batch, Instant now);
  void note_carried_out(const Batch& batch) noexcept;
  void note_fates(Batch& batch, Instant now);
  void retry(Batch& batch, std::string_view trouble, Instant now) noexcept;
  void call_off(Lease& lease) noexcept;
  void listen();
  template <class Which>
  void visit_soon(const Which& which) noexcept;
  void set_due(Seat& seat, Instant due, Instant::duration slack) noexcept;
  double random_share() noexcept;

  Session& session_;
  const std::shared_ptr<Labels> labels_;
  std::atomic<bool> moved_{false};  // keys have, since they were looked at

  std::mutex mutex_;  // guards what follows
  Schedule schedule_;
  Seat::Index by_key_;
  std::size_t watched_ = 0;

  // The rest belongs to the Background.
  std::vector<Seat*> too_early_;
  std::vector<std::shared_ptr<Lease>> due_;
  std::vector<Ready> ready_;  // a heap: the most urgent is the first
  // Those that may not go with many: not before that time, and so many commands in a round.
  static constexpr std::size_t least_at_once = 8;
  Instant few_not_before_{};
  std::size_t few_at_once_ = least_at_once;
  std::shared_ptr<const std::string> why_few_;
  bool listening_ = false;
  unsigned failures_ = 0;  // in a row
  Instant failed_at_;      // the last one of them
};

}  // namespace redismutex::engine
