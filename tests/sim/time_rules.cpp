#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "sim/rules.hpp"

namespace redismutex::sim {
namespace {

using Time = std::chrono::nanoseconds;
using Kind = Event::Kind;

constexpr Time never = Time::max();

/// Whether the turn was over so long before that the server can not know it any more.
bool is_ghost(const Chronicle& chronicle, const Bounds& bounds, const Turn& turn, const Span& known) {
  const Time gone_by = done_by(chronicle.over(turn), bounds);
  return known.to > gone_by && chronicle.undisturbed(turn.client, turn.wanted, gone_by) &&
         !chronicle.forgetful(turn.wanted, gone_by) && !chronicle.revived(turn.wanted, known.from);
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

}  // namespace redismutex::sim
