#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>

#include "net/poll.hpp"
#include "protocol/instant.hpp"

namespace redismutex::engine {

/// Runs work at given times in a thread of its own, which starts with the first piece of work. Thread-safe.
class Keeper final {
 public:
  /// Returns when to run again, or nothing when done. Called without any lock held. After an exception (no memory, no
  /// descriptor) it is run again a little later.
  using Work = std::function<std::optional<protocol::Instant>()>;
  using Ticket = std::uint64_t;


  /// Runs what is due once more, drops the rest, and waits for the thread.
  ~Keeper();

  /// Starts the thread, which takes a while, and may fail: for callers that will need it at a time when nothing may. Throws
  /// std::system_error if there is no thread or no descriptor to be had, and std::bad_alloc.
  void get_ready();

  /// The first time it throws as get_ready() does, later std::bad_alloc only.
  Ticket schedule(protocol::Instant due, Work work);

  /// Whether the caller is its thread.
  bool runs_this_thread() const noexcept { return thread_id_ == std::this_thread::get_id(); }

  /// Does not wait for work that is running in this moment, and which will not run again.
  void cancel(Ticket ticket);

 private:
  struct Entry {
    Ticket ticket;
    Work work;
  };
  using Agenda = std::multimap<protocol::Instant, Entry>;

  void start();
  void run();
  void run_due();
  static std::optional<protocol::Instant> run(const Work& work);
  bool is_stopping();
  void set_alarm(protocol::Instant due);

  std::mutex mutex_;  // guards what follows
  Agenda agenda_;
  std::unordered_map<Ticket, Agenda::iterator> places_;  // in the agenda
  Ticket last_ticket_ = 0;
  std::optional<Ticket> running_;  // reset by cancel()
  bool stopping_ = false;
  protocol::Instant alarm_at_ = protocol::Instant::max();
  net::Descriptor alarm_;  // a timer on the lease clock, which also goes off on waking from suspend
  std::thread thread_;
  std::atomic<std::thread::id> thread_id_;
};

}  // namespace redismutex::engine
