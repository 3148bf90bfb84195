#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>

#include "net/attempt.hpp"
#include "net/failure.hpp"
#include "net/link.hpp"
#include "net/poll.hpp"
#include "net/sentinels.hpp"
#include "net/workers.hpp"

namespace redismutex::net {

/// One server: holds the live Link to it, and dials a new one when that broke. Thread-safe.
///
/// There is one attempt at a time, for all threads: one of them drives it while the others wait for it. When that one has no more
/// time, another goes on with the same attempt; if none is there, one of the process's workers. A server that was never reached is
/// reported at once; one that was lost is tried again for connect_timeout. Between attempts lies a pause that doubles each time and
/// is drawn at random, so that the clients of a server that comes back do not all arrive in the same instant.
class Node {
 public:
  struct Handlers {
    Link::Handlers link;  ///< for every link
    /// With each new link, by the thread that dialled, before others know of it; whether there was one before.
    std::function<void(Link& link, bool again)> on_linked;
    /// Why an attempt failed; with a lock held: it must be quick, and not use the node. Must not throw.
    std::function<void(const Failure&)> on_failed;
    /// The sentinels name another server than the one that this link leads to, which is left for that.
    std::function<void(const Link& link)> on_replaced;
    /// So many replicas the sentinels know of, with each new link, as on_linked. None: they are not asked.
    std::function<void(std::int64_t)> on_replicas = {};
  };

  /// `reactor` must outlive all links. `name`: for every connection, see Dialler.
  Node(ConnectionOptions options, ReactorOnDemand& reactor, Handlers handlers, Dialler::Namer name);
  ~Node();

  /// The live link, dialled if need be, within connect_timeout and the deadline.
  std::variant<std::shared_ptr<Link>, Failure> link(Deadline deadline, const std::stop_token& stop);

  /// The live link, if there is one.
  std::shared_ptr<Link> present_link();

  /// Of one that is not there: what became of it, or of the attempts since then.
  Failure why_absent();

  /// Of a server that sentinels watch: asks one of them whether it is the master still. If that one does not say so in a moment, all of
  /// them are asked, and if they name another server this one is left. Waits for their answers; not for two threads at a time.
  void verify(const std::stop_token& stop);

  /// Leaves the server that `link` leads to, because it is the wrong one: the next to ask for a link dials anew, which looks the name up again. By a
  /// refusal (Failure::Kind::refused) that is one more failure: it comes after the pauses of dialling, and is told to those who get no link. Of
  /// another kind it is not: the caller sees to the pauses. Idempotent for all who hold the same link.
  /// What is in flight is still answered; then the link breaks, for the sake of those who wait
  /// for pushes.
  void drop(const std::shared_ptr<Link>& link, const Failure& why);

  const ConnectionOptions& options() const noexcept { return options_; }

 private:
  /// What came of driving the attempt: a link, or why there is none; or why the driver leaves it to others.
  struct Left {
    Failure failure;
  };
  using Driven = std::variant<std::shared_ptr<Link>, Failure, Left>;

  /// How long somebody waits for a link.
  struct Patience {
    Deadline until;
    std::string in_words;  // see within()
  };
  Patience patience_until(Deadline deadline, Deadline now) const;

  std::optional<Failure> dial(std::unique_lock<std::mutex>& lock, Deadline now, const Patience& patience,
                              const std::stop_token& stop);
  Driven drive(Deadline now, const Patience& patience, const std::stop_token& stop);
  Driven drive_attempt(Deadline now, const Patience& patience, const std::stop_token& stop);
  void note(const std::shared_ptr<Link>& link);
  void note(const Failure& failure);
  static std::optional<ServerAddress> named_by(SentinelSearch& search, std::chrono::milliseconds patience,
                                               const std::stop_token& stop);
  void leave_to_a_worker() noexcept;
  void go_on() noexcept;
  void plan_next_attempt();
  void pause_before_next_attempt();

  const ConnectionOptions options_;
  ReactorOnDemand& reactor_;
  const Handlers handlers_;

  // These belong to the one who set dialling_.
  Dialler dialler_;
  std::unique_ptr<Attempt> attempt_;  // that is under way

  std::unique_ptr<Sentinels> sentinels_;  // for verify(); from its first call on

  std::mutex mutex_;  // guards what follows; never held while dialling
  std::condition_variable_any changed_;
  std::shared_ptr<Link> link_;
  bool dialling_ = false;
  bool reached_before_ = false;
  Deadline linked_at_{};
  // In a row: attempts, links that broke before they answered anything, servers that were left soon.
  unsigned failures_ = 0;
  Deadline next_attempt_{};
  std::uint64_t begun_ = 0, failed_ = 0;  // attempts
  std::uint64_t last_failed_ = 0;         // which of those that were begun
  Failure last_failure_{};

  // Last, so that it ends first.
  std::stop_source ending_;
  std::optional<Workers::Task> goes_on_;
};

}  // namespace redismutex::net
