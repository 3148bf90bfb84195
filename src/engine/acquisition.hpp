#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <redismutex/options.hpp>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>

#include "engine/clean_up.hpp"
#include "engine/hold.hpp"
#include "engine/local_queues.hpp"
#include "engine/session.hpp"
#include "protocol/acquire.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"

namespace redismutex::engine {

/// One caller's way to one lock: with an id of its own, for one attempt or one wait.
class Acquisition {
 public:
  /// `session` and `options` must outlive it. The options are fitted: see fit().
  Acquisition(std::shared_ptr<Session> session, protocol::Key key, const Options& options);

  /// None if the lock is taken. Throws as the functions of RedisMutex do.
  std::unique_ptr<Hold> attempt(const std::stop_token& stop);

  /// None if the lock was taken all the time.
  std::unique_ptr<Hold> wait(std::chrono::milliseconds limit, const std::stop_token& stop);

  /// The message for a lock that was not taken.
  std::string taken(std::string_view why) const;

 private:
  std::unique_ptr<Hold> take_turn(protocol::Instant wait_until, const std::stop_token& stop);
  std::unique_ptr<Lease> ask_server(std::optional<protocol::Instant> wait_until, const std::stop_token& stop);
  std::unique_ptr<Hold> hold(std::unique_ptr<Lease> lease, std::optional<LocalQueues::Ticket> ticket);
  void note_contention();
  static void give_up(std::unique_ptr<Lease> lease) noexcept;
  Remains remains(const protocol::Acquire& machine, const protocol::OwnerId& id) const;
  void take_back(const protocol::Acquire& machine, const protocol::OwnerId& id) noexcept;
  void get_ready_for_claim() noexcept;
  [[noreturn]] void raise_exhausted(const std::system_error& error) const;

  const std::shared_ptr<Session> session_;
  const protocol::Key key_;
  const Options& options_;
  const std::chrono::milliseconds expiry_;
  const protocol::Instant started_;
  bool contention_noted_ = false;
};

}  // namespace redismutex::engine
