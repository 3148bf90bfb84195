#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "net/link.hpp"
#include "protocol/extend.hpp"
#include "protocol/instant.hpp"

namespace redismutex::engine {

class Session;
class Tenure;

/// Looks after locks that are held while their owners are busy, in a thread of its own that starts on first need: starts
/// their leases anew, and has the server tell at once when one of the keys is changed by somebody else. Thread-safe.
///
/// All that is due at about the same time goes into one command, and what went together stays together: the wards of a
/// connection soon need a few commands a round, however many they are.
class Caretaker final {
 public:
  struct Care {
    std::chrono::milliseconds renew_to{0};  ///< the lease to start anew every third of it; 0: only watch the key
    protocol::Instant no_longer_than = protocol::Instant::max();
  };
  using Ticket = std::uint64_t;

  explicit Caretaker(Session& session);
  ~Caretaker();

  /// Ends the thread.
  void stop();

  /// Whether the calling thread is that thread.
  bool runs_this_thread() const noexcept { return thread_id_ == std::this_thread::get_id(); }

  /// Starts that thread. Throws std::system_error if it is not to be had.
  void get_ready();

  /// The first time it throws as get_ready() does, later std::bad_alloc only.
  Ticket take(const std::shared_ptr<Tenure>& tenure, const Care& care);
  void forget(Ticket ticket);

  /// For the handler of the server's pushes.
  void key_changed(std::string_view key);
  void all_changed();

 private:
  struct Ward {
    std::weak_ptr<Tenure> tenure;
    std::string key;
    Care care;
    protocol::Instant due;
  };
  using Wards = std::unordered_map<Ticket, Ward>;

  /// One ward's part in a command.
  struct Visit {
    Ticket ticket;
    std::shared_ptr<Tenure> tenure;
    Care care;
    std::chrono::milliseconds renew_to;  ///< this time; 0: only look
  };
  using Visits = std::vector<Visit>;

  void run();
  void make_round();
  void make_due_again(const Visits& visits);
  void remove(Ticket ticket);
  Visits gather(protocol::Instant now);
  void prepare(Visits& visits, protocol::Instant now);
  void visit(Visits& visits);
  void take_in(const Visits& visits, const protocol::ExtendMany& machine);
  void report_loss(const std::shared_ptr<Tenure>& tenure);
  void retry(const Visits& visits);
  void rest(std::unique_lock<std::mutex>& lock);
  void idle(std::unique_lock<std::mutex>& lock);
  void attend(std::unique_lock<std::mutex>& lock, const std::shared_ptr<net::Link>& link, protocol::Instant until);
  void set_due(Ticket ticket, Ward& ward, protocol::Instant due);
  void make_all_due();
  void wake();

  Session& session_;
  std::stop_source stopping_;
  std::atomic<std::thread::id> thread_id_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Wards wards_;
  std::set<std::pair<protocol::Instant, Ticket>> agenda_;  // of wards that are due at some time
  std::unordered_multimap<std::string_view, Ticket> by_key_;
  Ticket last_ticket_ = 0;
  protocol::Instant next_look_ = protocol::Instant::max();  // when the thread wakes by itself
  std::uint64_t link_id_ = 0;                               // on which the server knows what to tell us
  unsigned failures_ = 0;                                   // in a row
  std::thread thread_;
};

}  // namespace redismutex::engine
