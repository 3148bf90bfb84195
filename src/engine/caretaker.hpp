#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "net/link.hpp"
#include "net/reactor.hpp"
#include "net/workers.hpp"
#include "protocol/extend.hpp"
#include "protocol/instant.hpp"

namespace redismutex::engine {

class Session;
class Tenure;

/// Looks after locks that are held while their owners are busy, in a worker, one round after the other: starts their leases anew,
/// and has the server tell at once when one of the keys is changed by somebody else. Thread-safe.
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

  /// For good. Waits for a round that runs in this moment.
  void stop();

  /// Sees to it that there are threads for it. Throws std::system_error if one is not to be had, and std::bad_alloc.
  void get_ready();

  /// The first time it throws as get_ready() does, later std::bad_alloc only.
  Ticket take(const std::shared_ptr<Tenure>& tenure, const Care& care);
  void forget(Ticket ticket);

  /// For the handler of the server's pushes.
  void key_changed(std::string_view key);
  void all_changed();

  /// The present connection broke: there is to be another one soon, for as long as there are wards.
  void link_broke() noexcept;

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

  void start();
  void time_is_up();
  void make_rounds() noexcept;
  bool make_round();
  void make_due_again(const Visits& visits);
  void remove(Ticket ticket);
  Visits gather(protocol::Instant now);
  void prepare(Visits& visits, protocol::Instant now);
  void visit(Visits& visits);
  void take_in(const Visits& visits, const protocol::ExtendMany& machine);
  void report_loss(const std::shared_ptr<Tenure>& tenure);
  void retry(const Visits& visits);
  bool rest(std::unique_lock<std::mutex>& lock);
  void listen_at(const std::shared_ptr<net::Link>& link);
  void set_due(Ticket ticket, Ward& ward, protocol::Instant due);
  void make_all_due();
  void wake() noexcept;

  Session& session_;
  std::stop_source stopping_;

  std::mutex mutex_;  // guards what follows
  Wards wards_;
  std::set<std::pair<protocol::Instant, Ticket>> agenda_;  // of wards that are due at some time
  std::unordered_multimap<std::string_view, Ticket> by_key_;
  Ticket last_ticket_ = 0;
  bool reach_for_server_ = false;  // because the connection broke
  std::uint64_t link_id_ = 0;      // on which the server knows what to tell us
  unsigned failures_ = 0;          // in a row

  std::weak_ptr<net::Link> listened_to_;  // belongs to the round

  // Both are there from the start on, until stop().
  std::optional<net::Workers::Task> rounds_;
  std::optional<net::Reactor::Timer> timer_;  // no later than the first of the agenda
};

}  // namespace redismutex::engine
