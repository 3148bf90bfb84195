#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "histories/rules.hpp"

namespace redismutex::histories {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;

/// How long it takes to give back what was left behind: it is tried again after a while.
constexpr Time between_tries = 300ms;

/// Whether the server knows the turn although it was over long before.
bool is_ghost(const Chronicle& chronicle, const Bounds& bounds, const Turn& turn, const Span& known) {
  const Time over = chronicle.over(turn);
  if (over == never || known.to <= done_by(over, bounds) || chronicle.revived(turn.wanted, known.from)) return false;
  // What was sent before and arrives behind all else leaves something that nobody knows of.
  const bool came_late = known.from >= over && !chronicle.undisturbed(turn.client, turn.wanted, known.from);
  if (came_late || turn.stranger || turn.how_ended == "dead") return false;
  const Time needed = done_by(between_tries, bounds);
  const bool was_calm = chronicle.undisturbed(turn.client, turn.wanted, done_by(over, bounds));
  // Whoever was told that nothing is known of a release leaves the lock to its expiry.
  if (!was_calm && turn.outcome) return false;
  const Time calm = was_calm ? over - between_tries : chronicle.calm_from(turn.client, over, needed);
  if (calm == never) return false;
  const Time gone_by = calm + needed;
  return calm < over + bounds.lease - needed && known.to > gone_by && !chronicle.forgetful(turn.wanted, gone_by);
}

void check_reaction(const Chronicle& chronicle, const Bounds& bounds, const Turn& turn, const Tenure& owner,
                    Findings& findings) {
  if (turn.stranger) return;
  const Time heard_by = owner.span.from + bounds.news + slack;
  const Time reacted = turn.inside ? *turn.inside : turn.ended ? *turn.ended : turn.release.value_or(never);
  if (reacted > heard_by && heard_by < chronicle.end() && !chronicle.spoiled(turn.key, turn.wanted, heard_by) &&
      chronicle.undisturbed(turn.client, turn.wanted, heard_by)) {
    findings.add(owner.span.from, "not inside in time:", turn.key, turn.id);
  }
}

}  // namespace

void check_traces(const Chronicle& chronicle, const Bounds& bounds, Findings& findings) {
  for (const auto& [key, owners] : chronicle.owners()) {
    for (const Tenure& owner : owners) {
      const Turn* turn = chronicle.turn(owner.id);
      if (turn == nullptr) continue;
      check_reaction(chronicle, bounds, *turn, owner, findings);
      if (is_ghost(chronicle, bounds, *turn, owner.span)) {
        findings.add(std::max(chronicle.over(*turn), owner.span.from), "the owner although it has ended:", key,
                     owner.id);
      }
    }
  }
  for (const auto& [key, line] : chronicle.lines()) {
    for (const Tenure& place : line) {
      const Turn* turn = chronicle.turn(place.id);
      if (turn != nullptr && is_ghost(chronicle, bounds, *turn, place.span)) {
        findings.add(std::max(chronicle.over(*turn), place.span.from), "in line although it has ended:", key, place.id);
      }
    }
  }
}

void check_idling(const Chronicle& chronicle, const Bounds& bounds, Findings& findings) {
  const Time bound = bounds.idle + slack;
  for (const auto& [key, line] : chronicle.lines()) {
    std::vector<Span> idle;  // only those that are long enough to matter
    Time since{0};
    if (const auto owners = chronicle.owners().find(key); owners != chronicle.owners().end()) {
      for (const Tenure& owner : owners->second) {
        if (owner.span.from > since + bound) idle.push_back({since, owner.span.from});
        since = std::max(since, owner.span.to);
      }
    }
    if (since != never) idle.push_back({since, never});
    for (const Tenure& place : line) {
      const Turn* turn = chronicle.turn(place.id);
      if (turn == nullptr) continue;
      const Time waits_until = std::min(place.span.to, turn->ended.value_or(never));
      auto gap = std::lower_bound(idle.begin(), idle.end(), place.span.from,
                                  [](const Span& span, Time time) { return span.to < time; });
      for (; gap != idle.end() && gap->from < waits_until; ++gap) {
        const Span both{std::max(gap->from, place.span.from), std::min(gap->to, waits_until)};
        if (both.to > both.from + bound && chronicle.undisturbed(turn->client, turn->wanted, both.to)) {
          findings.add(both.from, "a free lock that is not taken:", key, "by", place.id, "for", both.to - both.from);
        }
      }
    }
  }
}

void check_limits(const Chronicle& chronicle, const Bounds& bounds, Findings& findings) {
  for (const Turn& turn : chronicle.turns()) {
    if (turn.limit == Time{0} || turn.stranger) continue;
    const bool gave_up = turn.how_ended == "taken" || turn.how_ended == "timed-out";
    if (gave_up && *turn.ended < turn.limit) {
      findings.add(*turn.ended, "gave up before its limit:", turn.key, turn.id, turn.how_ended);
    }
    const Time known = turn.inside ? *turn.inside : turn.ended.value_or(Time{0});
    if (known > done_by(turn.limit, bounds) && chronicle.undisturbed(turn.client, turn.wanted, known)) {
      findings.add(known, "went on after its limit:", turn.key, turn.id);
    }
  }
}

void check_losses(const Chronicle& chronicle, const Bounds& bounds, Findings& findings) {
  for (const Turn& turn : chronicle.turns()) {
    if (!turn.inside || turn.stranger) continue;
    const Time until = std::min(turn.release.value_or(never), turn.ended.value_or(never));
    const auto expect = [&](Time by, const char* what) {
      if (until > by && turn.lost.value_or(never) > by && by < chronicle.end() &&
          chronicle.undisturbed(turn.client, turn.wanted, by) && !chronicle.forgetful(turn.wanted, by)) {
        findings.add(by, "was not told", what, turn.key, turn.id);
      }
    };
    expect(turn.valid_until + bounds.timers, "that the lease ended:");
    const Time watched = *turn.inside + 5ms + 6 * bounds.message + slack;
    if (!turn.watched || !bounds.watches) continue;
    const Time deleted = chronicle.deleted_after(turn.key, watched);
    if (deleted < until) expect(deleted + 4 * bounds.message + slack, "that the key was deleted:");
  }
}

void check_renewals(const Chronicle& chronicle, Findings& findings) {
  for (const Turn& turn : chronicle.turns()) {
    if (!turn.renewed || !turn.lost || turn.release.value_or(never) < *turn.lost) continue;
    if (chronicle.undisturbed(turn.client, turn.wanted, *turn.lost) && !chronicle.forgetful(turn.wanted, *turn.lost) &&
        !chronicle.spoiled(turn.key, turn.wanted, *turn.lost)) {
      findings.add(*turn.lost, "lost the lock although its lease is renewed:", turn.key, turn.id);
    }
  }
}

void check_extensions(const Chronicle& chronicle, const Bounds& bounds, Findings& findings) {
  const Time drift = bounds.expiry / 50 + 2 * slack;
  std::map<std::string, Time> counts_until;  // by id
  for (const Event& event : chronicle.events()) {
    if (event.kind == Kind::inside || event.kind == Kind::lease) counts_until[event.id] = event.until;
    if (event.kind != Kind::extended) continue;
    const Turn& turn = *chronicle.turn(event.id);
    const Time until = counts_until[event.id];
    if (until + drift >= event.until) continue;
    const bool is_over = until <= event.time;  // it may have been lost since
    if (is_over && (!chronicle.undisturbed(turn.client, turn.wanted, event.time) ||
                    chronicle.spoiled(turn.key, turn.wanted, event.time))) {
      continue;
    }
    findings.add(event.time, "has extended the lease, and has less:", turn.key, turn.id, "by", event.until - until);
  }
}

void check_releases(const Chronicle& chronicle, const Bounds& bounds, Findings& findings) {
  for (const Turn& turn : chronicle.turns()) {
    if (!turn.outcome || !turn.inside || turn.outcome->kind == Kind::released) continue;
    if (*turn.release + bounds.message + slack >= turn.valid_until) continue;
    const Time told = turn.outcome->time;
    if (!chronicle.spoiled(turn.key, turn.wanted, told) && !chronicle.forgetful(turn.wanted, told) &&
        chronicle.undisturbed(turn.client, turn.wanted, told)) {
      findings.add(told, "released in time, and was told otherwise:", turn.key, turn.id, turn.outcome->note);
    }
  }
}

}  // namespace redismutex::histories
