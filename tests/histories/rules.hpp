#pragma once

#include <chrono>
#include <cstddef>

#include "histories/checker.hpp"
#include "histories/chronicle.hpp"
#include "histories/findings.hpp"

namespace redismutex::histories {

/// What a thread needs to run once it may, and a timer's and the server's clock's resolution.
constexpr std::chrono::nanoseconds slack = std::chrono::milliseconds{2};

/// By when the server has done what a client began then: it may have to be taught a script first.
constexpr std::chrono::nanoseconds done_by(std::chrono::nanoseconds time, const Bounds& bounds) {
  return time == std::chrono::nanoseconds::max() ? time : time + 4 * bounds.message + slack;
}

// The rules, one by one. These are about what clients say of themselves:

/// At no time two rely on the same lock.
void check_exclusion(const Chronicle& chronicle, Findings& findings);

/// No two have the same token; whoever began to want the lock when somebody was inside, or later, has a higher one; and a
/// resource that takes only tokens that do not fall never refuses who relies on the lock.
void check_tokens(const Chronicle& chronicle, Findings& findings);

/// Nobody gives up before his limit, or goes on for long after it.
void check_limits(const Chronicle& chronicle, const Bounds& bounds, Findings& findings);

/// Whoever is inside when the lease ends is told of the loss by then; and one that watches the key, as soon as somebody has
/// deleted it.
void check_losses(const Chronicle& chronicle, const Bounds& bounds, Findings& findings);

/// Whoever gives back within the lease is told that it was his.
void check_releases(const Chronicle& chronicle, const Bounds& bounds, Findings& findings);

/// Whoever has its lease renewed keeps the lock for as long as it is inside.
void check_renewals(const Chronicle& chronicle, Findings& findings);

/// Whoever was told that it has extended the lease can count on all of that.
void check_extensions(const Chronicle& chronicle, const Bounds& bounds, Findings& findings);

/// A real resource that takes only tokens that do not fall never refused who relied on the lock.
void check_writes(const Chronicle& chronicle, Findings& findings);

/// See Bounds::gaps; returns Verdict::longest_gap.
std::chrono::nanoseconds check_gaps(const Chronicle& chronicle, const Bounds& bounds, Findings& findings);

// And these about the server's side of it:

/// Whoever relies on a lock has it on the server.
void check_backing(const Chronicle& chronicle, Findings& findings);

/// A lease always ends; the client knows its end before it comes; and a short one is made a full one.
void check_leases(const Chronicle& chronicle, const Bounds& bounds, Findings& findings);

/// Whoever gets the lock is inside as soon as the news can have arrived; and whoever has ended leaves nothing on the server,
/// or sees to it as soon as he can.
void check_traces(const Chronicle& chronicle, const Bounds& bounds, Findings& findings);

/// A lock that is free while somebody waits for it does not stay so.
void check_idling(const Chronicle& chronicle, const Bounds& bounds, Findings& findings);

/// Among those that stand in line in one process: there is always one that asks for them, or has the lock; what it has at the server is
/// kept when it gives up; and what is passed from one to the next is theirs, and lasts. Between processes: whoever waits at the server
/// waits for few passes, and no process is overtaken by one that came later.
void check_processes(const Chronicle& chronicle, const Bounds& bounds, Findings& findings);

/// Those who wait are served in order, handed the lock only if they can hear of it, and keep their place till then; the
/// first of them comes in right after the lease of a holder that died, or after somebody deleted the key. Returns how many
/// were served.
std::size_t check_line(const Chronicle& chronicle, const Bounds& bounds, Findings& findings);

}  // namespace redismutex::histories
