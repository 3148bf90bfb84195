#include "protocol/council.hpp"

#include <algorithm>
#include <chrono>

namespace redismutex::protocol {
namespace {

constexpr Council::Duration shortest_pause = std::chrono::milliseconds{2};

}  // namespace

/// Without memory: there are few.
Instant lasts_until(std::span<const Instant> ends, std::size_t count) {
  Instant latest{};
  for (const Instant end : ends) {
    const auto as_late = std::count_if(ends.begin(), ends.end(), [end](Instant other) { return other >= end; });
    if (static_cast<std::size_t>(as_late) >= count) latest = std::max(latest, end);
  }
  return latest;
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
  if (is_answered()) return Verdict::taken;
  // It is not to be had; why not, those will say who have not answered yet.
  return answered() + count(Standing::asked) >= majority() ? Verdict::open : Verdict::unreachable;
}

std::size_t Council::answered() const {
  return count(Standing::held) + count(Standing::waits) + count(Standing::taken);
}

bool Council::is_answered() const { return answered() >= majority(); }

bool Council::meets_others() const {
  return count(Standing::waits) + count(Standing::taken) > seats_.size() - majority();
}

Instant Council::valid_until() const {
  Instant latest{};
  for (const Seat& seat : seats_) {
    const auto lasts_as_long = [&seat](const Seat& other) {
      return other.standing == Standing::held && other.vote.valid_until >= seat.vote.valid_until;
    };
    const auto as_long = std::count_if(seats_.begin(), seats_.end(), lasts_as_long);
    const bool is_majority = static_cast<std::size_t>(as_long) >= majority();
    if (seat.standing == Standing::held && is_majority) latest = std::max(latest, seat.vote.valid_until);
  }
  return latest;
}

bool Council::has_answered(std::size_t server) const { return seats_[server].standing != Standing::asked; }

std::uint64_t Council::token() const {
  std::uint64_t highest = 0;
  for (const Seat& seat : seats_) {
    if (seat.standing == Standing::held) highest = std::max(highest, seat.vote.token);
  }
  return highest;
}

/// As far as it is known.
Council::Duration Council::round_trip() const {
  const auto known = static_cast<std::size_t>(
      std::count_if(seats_.begin(), seats_.end(), [](const Seat& seat) { return seat.round_trip != Duration::max(); }));
  Duration shortest = Duration::max();
  for (const Seat& seat : seats_) {
    const auto as_short = std::count_if(seats_.begin(), seats_.end(),
                                        [&seat](const Seat& other) { return other.round_trip <= seat.round_trip; });
    const bool completes = static_cast<std::size_t>(as_short) >= std::min(known, majority());
    if (completes) shortest = std::min(shortest, seat.round_trip);
  }
  return known == 0 ? Duration{} : shortest;
}

Instant Council::yields_at() const {
  if (count(Standing::held) == 0) return Instant::max();
  const auto percent = static_cast<std::int64_t>(120 + chance_ % 61);
  return first_vote_at_ + std::max(shortest_pause, round_trip() * percent / 100);
}

bool Council::is_held(std::size_t server) const { return seats_[server].standing == Standing::held; }

void Council::yield(std::uint64_t chance) {
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    if (is_held(i)) asked(i);
  }
  chance_ = chance;
}

}  // namespace redismutex::protocol
