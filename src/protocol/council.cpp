#include "protocol/council.hpp"

#include <algorithm>
#include <chrono>
#include <functional>

namespace redismutex::protocol {
namespace {

constexpr Council::Duration shortest_pause = std::chrono::milliseconds{2};

}  // namespace

Instant lasts_until(std::span<const Instant> ends, std::size_t count) {
  if (ends.size() < count) return {};
  std::vector<Instant> latest_first{ends.begin(), ends.end()};
  std::sort(latest_first.begin(), latest_first.end(), std::greater<>{});
  return latest_first[count - 1];
}

Council::Council(std::size_t servers, std::uint64_t chance) : seats_(servers), chance_{chance} {}

void Council::held(std::size_t server, const Vote& vote, Instant now) {
  if (count(Standing::held) == 0) first_vote_at_ = now;
  note(server, Standing::held);
  seats_[server].vote = vote;
}

void Council::waits(std::size_t server) { note(server, Standing::waits); }
void Council::taken(std::size_t server) { note(server, Standing::taken); }
void Council::away(std::size_t server) { note(server, Standing::away); }
void Council::asked(std::size_t server) { note(server, Standing::asked); }

void Council::note(std::size_t server, Standing standing) { seats_[server].standing = standing; }

void Council::measured(std::size_t server, Duration round_trip) {
  Duration& shortest = seats_[server].round_trip;
  shortest = std::min(shortest, round_trip);
}

std::size_t Council::count(Standing standing) const {
  return static_cast<std::size_t>(
      std::count_if(seats_.begin(), seats_.end(), [standing](const Seat& seat) { return seat.standing == standing; }));
}

Council::Verdict Council::verdict(Instant now) const {
  if (valid_until() > now) return Verdict::won;
  const std::size_t possible = count(Standing::held) + count(Standing::asked) + count(Standing::waits);
  if (possible >= majority()) return Verdict::open;
  return is_answered() ? Verdict::taken : Verdict::unreachable;
}

bool Council::is_answered() const {
  return count(Standing::held) + count(Standing::waits) + count(Standing::taken) >= majority();
}

bool Council::meets_others() const {
  return count(Standing::waits) + count(Standing::taken) > seats_.size() - majority();
}

Instant Council::valid_until() const {
  std::vector<Instant> ends;
  for (const Seat& seat : seats_) {
    if (seat.standing == Standing::held) ends.push_back(seat.vote.valid_until);
  }
  return lasts_until(ends, majority());
}

std::uint64_t Council::token() const {
  std::uint64_t highest = 0;
  for (const Seat& seat : seats_) {
    if (seat.standing == Standing::held) highest = std::max(highest, seat.vote.token);
  }
  return highest;
}

/// As far as it is known.
Council::Duration Council::round_trip() const {
  std::vector<Duration> known;
  for (const Seat& seat : seats_) {
    if (seat.round_trip != Duration::max()) known.push_back(seat.round_trip);
  }
  std::sort(known.begin(), known.end());
  if (known.empty()) return {};
  return known[std::min(known.size(), majority()) - 1];
}

Instant Council::yields_at() const {
  if (count(Standing::held) == 0) return Instant::max();
  const auto percent = static_cast<std::int64_t>(120 + chance_ % 61);
  return first_vote_at_ + std::max(shortest_pause, round_trip() * percent / 100);
}

std::vector<std::size_t> Council::yield(std::uint64_t chance) {
  std::vector<std::size_t> servers;
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    if (seats_[i].standing != Standing::held) continue;
    servers.push_back(i);
    asked(i);
  }
  chance_ = chance;
  return servers;
}

}  // namespace redismutex::protocol
