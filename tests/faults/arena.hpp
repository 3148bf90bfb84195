#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "faults/diary.hpp"
#include "faults/partition.hpp"
#include "faults/register.hpp"
#include "faults/server_clock.hpp"
#include "histories/spans.hpp"
#include "sim/random.hpp"
#include "support/cluster.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"
#include "support/sentinel_set.hpp"
#include "support/server.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::faults {

/// How the workers reach the server.
enum class Route {
  direct,   ///< by its unix socket, and where it fails over, by that of the one that serves now
  proxied,  ///< all but the last by proxies, half of them by each
  cabled,   ///< half of them from a machine of its own, see Partition
};

/// What the arena is furnished with.
struct Furniture {
  Route route = Route::direct;
  bool replica = false;     ///< there is a second server, which follows the first
  bool sentinels = false;   ///< there are three, and sentinels, by which the workers find the master
  bool cluster = false;     ///< there are six, in a cluster
  bool own_clock = false;   ///< the server's clock can be set
  int long_stays = 0;       ///< of a thousand stays, so many are longer than a lease
  std::string worker = {};  ///< the program
  int hurrying = 0;         ///< threads of each worker with an Observer
  std::uint64_t seed = 0;
};

/// The place of a trial: a server, workers that want its locks, the network between them; and the driver's diary of what it did
/// to them. Belongs to the thread that made it.
class Arena {
 public:
  static constexpr std::size_t workers = 4;

  explicit Arena(const Furniture& furniture);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  sim::Random random;

  std::chrono::nanoseconds now() const noexcept { return diary_.now(); }
  void wait(std::chrono::nanoseconds length) const;

  /// Waits for a time drawn between the two.
  void wait_between(std::chrono::milliseconds least, std::chrono::milliseconds most);

  /// To be noted when they are over. `worker`: none means all of them.
  void note_disturbance(histories::Span span, std::optional<std::size_t> worker = {});
  /// `key`: empty for all of them.
  void note_disaster(histories::Span span, const std::string& key, const std::string& what);

  testing::Server& server() { return *serving_; }
  ServerClock& clock() { return *clock_; }
  testing::Proxy& proxy(std::size_t which) { return *proxies_.at(which); }
  Partition& partition() { return *partition_; }

  /// Which of them this proxy, or the partition, stands before.
  std::vector<std::size_t> workers_behind(std::size_t which) const;

  testing::ChildProcess& worker(std::size_t which) { return *crew_.at(which).process; }

  /// Kills it (SIGKILL), and starts another in its place.
  void replace_worker(std::size_t which);

  /// The replica is promoted, and missed what was written within `gap` before; the primary becomes its replica, and empty.
  void fail_over(std::chrono::milliseconds gap);

  /// The sentinels, or the cluster, make another one the master: because this one dies, stands still for a while, or for no reason at all.
  enum class Fall { killed, frozen, by_hand };
  void depose_master(Fall how);

  /// The slot of one of the keys goes from its server to another: key by key, or at once, where the server can.
  void move_slot();

  struct Outcome {
    histories::History history;
    std::vector<std::string> violations;        ///< what a history does not tell
    std::uint64_t balanced = 0;                 ///< see Register
    std::chrono::nanoseconds longest_stall{0};  ///< for so long the machine did not run a thread that could
  };

  /// Has the workers end, and collects what they wrote. Once.
  Outcome conclude();

 private:
  struct Place {
    std::string url;
    std::vector<std::string> prefix = {};
    std::string diary = {};
    int first_client = 0;
    std::optional<testing::ChildProcess> process = {};
  };

  testing::ServerOptions server_options() const;
  void connect_replica();
  void depose_by_sentinels(Fall how);
  void depose_in_cluster(Fall how);
  void rejoin(testing::Server& former, bool is_down);
  std::string any_key_name();
  std::string url() const;
  testing::Server& home_of(const std::string& key) { return cluster_ ? cluster_->master_of_key(key) : *serving_; }
  void furnish_places();
  void start_worker(Place& place);
  std::string socket_in_use() const { return directory_.file("current.sock"); }
  void point_to(const testing::Server& server) const;
  void end_workers(std::vector<std::string>& violations);
  void look_for_traces(std::vector<std::string>& violations);
  void watch_the_machine(const std::stop_token& stop);

  const Furniture furniture_;
  const testing::TempDir directory_;
  const std::chrono::nanoseconds epoch_;
  const Diary diary_;
  Register register_;
  std::optional<Partition> partition_;
  std::optional<ServerClock> clock_;
  std::optional<testing::SentinelSet> set_;
  std::optional<testing::Cluster> cluster_;
  std::deque<testing::Server> servers_;
  testing::Server* serving_ = nullptr;
  testing::Server* following_ = nullptr;
  std::deque<std::unique_ptr<testing::Proxy>> proxies_;
  std::vector<Place> crew_;
  std::vector<std::string> diaries_;
  int last_client_ = 0;
  std::atomic<std::chrono::nanoseconds> longest_stall_{std::chrono::nanoseconds{0}};
  std::jthread watcher_;
};

}  // namespace redismutex::faults
