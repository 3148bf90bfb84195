#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "net/reactor.hpp"
#include "net/reactor_on_demand.hpp"
#include "net/workers.hpp"
#include "protocol/instant.hpp"

namespace redismutex::engine {

/// Runs work at given times, one piece after the other, in the threads of the reactor. Thread-safe.
class Keeper final {
 public:
  /// Which of its threads.
  enum class Place {
    reactor,  ///< on time; for what never blocks, and is no user's code
    workers,  ///< for all else
  };

  /// Returns when to run again, or nothing when done. Called without any lock held. After an exception (no memory, no
  /// descriptor) it is run again a little later.
  using Work = std::function<std::optional<protocol::Instant>()>;
  using Ticket = std::uint64_t;

  Keeper(net::ReactorOnDemand& reactor, Place place) : reactor_{reactor}, place_{place} {}

  /// Runs what is due once more, in the calling thread, which must not be one of the reactor's; drops the rest.
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /// Sees to it that there is a thread, which takes a while, and may fail: for callers that will need it at a time when nothing
  /// may. Throws std::system_error if there is no thread or no descriptor to be had, and std::bad_alloc.
  void get_ready();

  /// The first time it throws as get_ready() does, later std::bad_alloc only.
  Ticket schedule(protocol::Instant due, Work work);

  /// Does not wait for work that is running in this moment, and which will not run again.
  void cancel(Ticket ticket);

 private:
  struct Entry {
    Ticket ticket;
    Work work;
  };
  using Agenda = std::multimap<protocol::Instant, Entry>;

  void start();
  void time_is_up();
  void run_due();
  static std::optional<protocol::Instant> run(const Work& work);

  net::ReactorOnDemand& reactor_;
  const Place place_;

  std::mutex mutex_;  // guards what follows
  Agenda agenda_;
  std::unordered_map<Ticket, Agenda::iterator> places_;  // in the agenda
  Ticket last_ticket_ = 0;
  std::optional<Ticket> running_;  // reset by cancel()
  bool stopping_ = false;

  // Both are there from the start on.
  std::optional<net::Workers::Task> round_;   // where the place is a worker
  std::optional<net::Reactor::Timer> timer_;  // no later than the first of the agenda
};

}  // namespace redismutex::engine
