#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "histories/rules.hpp"

namespace redismutex::histories {
namespace {

using Kind = Event::Kind;

/// Merged where they touch, in order of time.
std::vector<Span> united(std::vector<Span> spans) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.from < b.from; });
  std::vector<Span> result;
  for (const Span& span : spans) {
    if (!result.empty() && span.from <= result.back().to) {
      result.back().to = std::max(result.back().to, span.to);
    } else {
      result.push_back(span);
    }
  }
  return result;
}

/// How much of `span` the others, which are united, cover.
Time covered(const Span& span, const std::vector<Span>& by) {
  Time sum{0};
  auto next =
      std::lower_bound(by.begin(), by.end(), span.from, [](const Span& each, Time time) { return each.to < time; });
  for (; next != by.end() && next->from < span.to; ++next) {
    sum += std::min(next->to, span.to) - std::max(next->from, span.from);
  }
  return sum;
}

/// Of one key: when somebody was inside, and when somebody wanted to be.
struct Service {
  std::vector<Span> holds, demand;
};

std::map<std::string, Service> services(const Chronicle& chronicle) {
  std::map<std::string, Service> services;
  for (const Turn& turn : chronicle.turns()) {
    Service& service = services[turn.key];
    service.holds.insert(service.holds.end(), turn.holds.begin(), turn.holds.end());
    const Time served = turn.inside ? *turn.inside : turn.ended.value_or(chronicle.end());
    // Whoever makes one attempt does not wait.
    if (turn.limit > Time{0} || turn.inside) service.demand.push_back({turn.wanted, served});
  }
  for (auto& [key, service] : services) {
    service.holds = united(std::move(service.holds));
    service.demand = united(std::move(service.demand));
  }
  return services;
}

/// Each once, whomever it struck.
std::vector<Span> faults(const Chronicle& chronicle) {
  std::vector<Span> faults;
  for (const Event& event : chronicle.events()) {
    const bool strikes = event.kind == Kind::disturbed || event.kind == Kind::disaster || event.kind == Kind::dead;
    if (!strikes) continue;
    const Span span{event.time, std::max(event.time, event.until == never ? chronicle.end() : event.until)};
    if (faults.empty() || faults.back().from != span.from || faults.back().to != span.to) faults.push_back(span);
  }
  return faults;
}

}  // namespace

void check_writes(const Chronicle& chronicle, Findings& findings) {
  for (const Event& event : chronicle.events()) {
    if (event.kind != Kind::denied || event.time >= event.until) continue;
    const Turn* turn = chronicle.turn(event.id);
    if (turn != nullptr && !chronicle.spoiled(turn->key, turn->wanted, event.time)) {
      findings.add(event.time, "the resource refused a valid write:", event.key, event.id, "has", event.token);
    }
  }
}

Time check_gaps(const Chronicle& chronicle, const Bounds& bounds, Findings& findings) {
  const std::vector<Span> all = faults(chronicle);
  Time longest{0};
  const auto check_gap = [&](const std::string& key, const Service& service, const Span& gap) {
    const Time idle = covered(gap, service.demand);
    Time of_faults{0}, claims{0};
    for (const Span& fault : all) {
      if (fault.to < gap.from - bounds.lease - bounds.claim || fault.from > gap.to) continue;
      of_faults += fault.to - fault.from;
      claims += bounds.claim;
    }
    longest = std::max(longest, idle - of_faults);
    if (idle > bounds.lease + std::max(claims, bounds.claim) + of_faults + bounds.timers) {
      findings.add(gap.to, "nobody was inside for too long:", key, "for", idle, "with faults of", of_faults);
    }
  };
  for (const auto& [key, service] : services(chronicle)) {
    Time since{0};
    for (const Span& hold : service.holds) {
      check_gap(key, service, {since, hold.from});
      since = hold.to;
    }
    check_gap(key, service, {since, chronicle.end()});
  }
  return longest;
}

}  // namespace redismutex::histories
