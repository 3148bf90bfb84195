#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

namespace redismutex::protocol {

/// Which of the votes for a lock count that were given when it was held already: those of which it is known that in the moment in which they were
/// given the lock was held without them. Else the majority may have been broken before, and somebody else may have been inside and gone. Known it is
/// once a majority, of older votes that count, was confirmed by requests that were sent later: no vote that was lost is ever had again, so they
/// stood all the time. Whether they stand still does not matter for that.
///
/// `votes`: the oldest first. Each has `added`, when it had been given at the latest; `counts`, to be set; and `confirmed()`, when the last request
/// was sent to which its server said that it stands.
template <class Vote>
void end_probation(std::span<Vote> votes, std::size_t majority) {
  for (auto vote = votes.begin(); vote != votes.end(); ++vote) {
    if (vote->counts) continue;
    const auto stood = std::count_if(
        votes.begin(), vote, [&](const Vote& older) { return older.counts && older.confirmed() >= vote->added; });
    vote->counts = static_cast<std::size_t>(stood) >= majority;
  }
}

}  // namespace redismutex::protocol
