#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "net/attempt.hpp"
#include "net/dialogue.hpp"
#include "net/failure.hpp"
#include "net/poll.hpp"
#include "net/sentinel_answers.hpp"

namespace redismutex::net {

class SentinelSearch;

/// The epoch of the answer that was followed last. A lower one is not, before others have had time to tell of a higher one: a sentinel that is cut
/// off goes on naming what was, and a server that is cut off with it goes on being the master. Thread-safe.
class FollowedEpoch {
 public:
  /// `patience`: the time that others have.
  explicit FollowedEpoch(std::chrono::milliseconds patience) : patience_{patience} {}

  /// Whether an answer of this epoch is to be followed. From the first one on that is not, others have their time: that in which somebody
  /// asks.
  bool allows(std::int64_t epoch, Deadline now);

  /// The same, and it is.
  bool follow(std::int64_t epoch, Deadline now);

  /// Whether one that is higher was followed.
  bool is_past(std::int64_t epoch) const;

  /// When it allows lower ones; Deadline::max(): there was none.
  Deadline allows_any_at() const;

 private:
  bool allows_now(std::int64_t epoch, Deadline now) noexcept;

  const std::chrono::milliseconds patience_;
  mutable std::mutex mutex_;  // guards the rest
  std::int64_t epoch_ = -1;
  std::optional<Deadline> last_lower_at_;  // when one was told of last
  Deadline::duration asked_for_{};         // since the first one
};

/// The sentinels of one server, as far as they are known: those that the user names, and those that these name. For one thread at a
/// time.
class Sentinels {
 public:
  explicit Sentinels(const ConnectionOptions& options);

  /// They are asked by another thread, too, in this way.
  Sentinels(const ConnectionOptions& options, const Sentinels& other);
  ~Sentinels();
  Sentinels(const Sentinels&) = delete;
  Sentinels& operator=(const Sentinels&) = delete;

  /// From now on asks how many replicas there are, too.
  void ask_for_replicas() noexcept { counts_replicas_ = true; }

  /// The most that any of them has told of the one that they named; none: nobody told.
  std::optional<std::int64_t> replicas() const noexcept { return replicas_; }

  /// Asks all of them at once. Neither may outlive it.
  std::unique_ptr<SentinelSearch> ask_all(Deadline now);

  /// The same, for one who has a server already: a few that answer sooner than the rest are not enough to leave it. Their word counts when
  /// most have answered, or nobody else will. A lower epoch counts only if most of those that are known say the same.
  std::unique_ptr<SentinelSearch> ask_most(Deadline now);

  /// Asks one, each time another one, for one who has a server already. Its word on a lower epoch does not count.
  std::unique_ptr<SentinelSearch> ask_next(Deadline now);

 private:
  friend class SentinelSearch;

  void add(const ServerAddress& address);
  Sentinels(const ConnectionOptions& options, std::shared_ptr<FollowedEpoch> followed);

  void take_up_others();

  const ConnectionOptions options_;  // towards a sentinel
  const std::string master_;
  const std::size_t named_by_user_;
  const std::shared_ptr<FollowedEpoch> followed_;
  std::shared_ptr<Tls> tls_;
  std::vector<std::unique_ptr<Dialler>> known_;  // those that the user names come first
  std::vector<ServerAddress> others_;            // that have answered the last time, or were named
  std::size_t next_ = 0;
  bool counts_replicas_ = false;
  std::optional<std::int64_t> replicas_;
};

/// Finds out which server is the master now, as steps that never wait. For one thread at a time.
class SentinelSearch {
 public:
  /// `enough`: answers, for not to wait for those who take their time, and to follow a lower epoch.
  SentinelSearch(Sentinels& sentinels, std::span<const std::unique_ptr<Dialler>> whom, std::size_t enough,
                 Deadline now);
  ~SentinelSearch();

  std::variant<Awaited, ServerAddress, Failure> step(Deadline now);

 private:
  class Question;
  bool is_settled(Deadline now) const;
  Deadline next_look(Deadline now) const;
  std::variant<Awaited, ServerAddress, Failure> outcome(Deadline now) const;
  Failure failure() const;

  Sentinels& sentinels_;
  const std::size_t enough_;
  const Deadline settles_at_;
  std::vector<std::unique_ptr<Question>> questions_;
  AnyOf any_of_;
};

}  // namespace redismutex::net
