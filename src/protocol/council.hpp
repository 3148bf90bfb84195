#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "protocol/instant.hpp"

namespace redismutex::protocol {

/// So many of the servers of a quorum are a majority: of all that are configured, not of those that can be reached.
constexpr std::size_t majority_of(std::size_t servers) noexcept { return servers / 2 + 1; }

/// Until when at least so many of the leases last. In the far past if there are fewer.
Instant lasts_until(std::span<const Instant> ends, std::size_t count);

/// Counts the votes of one attempt to get a lock from a majority of independent servers. A vote is the lock at one server, under the
/// attempt's id, with a lease of its own.
///
/// One that has votes, but no majority, asks for each of them again after a while, and gives it up where somebody waits who asked
/// earlier (a yield). So the one that asked first of those that compete always gains votes, and nobody waits for ever.
///
/// A vote counts from the moment in which the server said so, until its lease ends, the connection breaks on which it was told, or
/// the server is asked for it again; then it counts only when the server has said so once more.
class Council {
 public:
  using Duration = Instant::duration;

  /// `chance`: 64 random bits.
  Council(std::size_t servers, std::uint64_t chance);

  std::size_t majority() const noexcept { return majority_of(seats_.size()); }

  struct Vote {
    Instant valid_until;
    std::uint64_t token = 0;  ///< the fencing token that this server has minted; 0: none was wanted
  };

  // ---- what has become of the question to a server

  void held(std::size_t server, const Vote& vote, Instant now);  ///< it has given its vote
  void waits(std::size_t server);                                ///< somebody else has it, and we are in line there
  void taken(std::size_t server);                                ///< somebody else has it, and we are not in line
  void away(std::size_t server);                                 ///< it does not answer, or refuses
  void asked(std::size_t server);  ///< it has been asked, or has to be asked again, because the connection broke

  /// The time from question to answer.
  void measured(std::size_t server, Duration round_trip);

  // ---- what follows from it

  enum class Verdict {
    open,
    won,          ///< a majority has given its vote
    taken,        ///< a majority has answered, and it is not to be had
    unreachable,  ///< fewer than a majority have answered, and the others do not
  };
  Verdict verdict(Instant now) const;

  /// Whether a majority has answered, in whatever way.
  bool is_answered() const;

  /// Whether some of them have not answered, and nothing is known to keep them from it.
  bool is_silent() const { return count(Standing::asked) > 0; }

  /// Whether others have too many of the votes for a majority. We may have to wait.
  bool meets_others() const;

  /// With the present votes.
  Instant valid_until() const;

  /// The fencing token to use: the highest of the votes. A majority has to know it before it is used, because the tokens of servers
  /// whose clocks differ do not rise from one owner to the next. 0: none was wanted.
  std::uint64_t token() const;

  /// When the servers are to be asked for their votes again: after 1.2 to 1.8 round trips, and at least 2 ms, from the first vote on. Of
  /// the round trips that of the server counts that completes a majority, so that one far away does not. Instant::max(): there is no vote.
  Instant yields_at() const;

  /// That time has come: all that have given their vote are to be asked. Those votes do not count from now on.
  void yield(std::uint64_t chance);

  bool is_held(std::size_t server) const;
  bool has_answered(std::size_t server) const;

 private:
  enum class Standing { asked, held, waits, taken, away };
  struct Seat {
    Standing standing = Standing::asked;
    Vote vote{};
    Duration round_trip = Duration::max();  // unknown
  };

  void note(std::size_t server, Standing standing);
  std::size_t count(Standing standing) const;
  std::size_t answered() const;
  Duration round_trip() const;

  std::vector<Seat> seats_;
  std::uint64_t chance_;
  Instant first_vote_at_;
};

}  // namespace redismutex::protocol
