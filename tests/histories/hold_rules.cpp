#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "histories/rules.hpp"

namespace redismutex::histories {
namespace {

using Kind = Event::Kind;

struct Hold {
  Span span;
  const Turn* turn;
};

/// Whether they have more than an end in common. Whoever comes in when the lease is over already has no time at all.
bool overlap(const Span& a, const Span& b) { return std::max(a.from, b.from) < std::min(a.to, b.to); }

std::map<std::string, std::vector<Hold>> holds_by_key(const Chronicle& chronicle) {
  std::map<std::string, std::vector<Hold>> holds;
  for (const Turn& turn : chronicle.turns()) {
    for (const Span& span : turn.holds) holds[turn.key].push_back({span, &turn});
  }
  for (auto& [key, all] : holds) {
    std::sort(all.begin(), all.end(), [](const Hold& a, const Hold& b) { return a.span.from < b.span.from; });
  }
  return holds;
}

// ---- tokens ---------------------------------------------------------------------------------------------------------

/// A lock that ended by itself leaves nothing but the clock to remember its token by.
bool is_forgotten(const Chronicle& chronicle, const Turn& turn, Time by) {
  return chronicle.clock_was_set(turn.wanted, by) && chronicle.lapsed(turn.key, turn.wanted, by);
}

void check_token_order(const Chronicle& chronicle, std::vector<const Turn*> turns, Findings& findings) {
  std::vector<const Turn*> by_inside = turns;
  std::sort(turns.begin(), turns.end(), [](const Turn* a, const Turn* b) { return a->wanted < b->wanted; });
  std::sort(by_inside.begin(), by_inside.end(), [](const Turn* a, const Turn* b) { return a->inside < b->inside; });
  std::set<std::uint64_t> known;
  const Turn* highest = nullptr;
  auto next = by_inside.begin();
  for (const Turn* turn : turns) {
    for (; next != by_inside.end() && *(*next)->inside < turn->wanted; ++next) {
      if (highest == nullptr || (*next)->token > highest->token) highest = *next;
    }
    if (highest != nullptr && is_forgotten(chronicle, *highest, *turn->inside)) highest = nullptr;
    if (highest != nullptr && turn->token <= highest->token) {
      findings.add(*turn->inside, "a token that does not rise:", turn->key, turn->id, "has", turn->token, "after",
                   highest->token, "of", highest->id);
    } else if (!known.insert(turn->token).second) {
      findings.add(*turn->inside, "a token that somebody else had:", turn->key, turn->id, turn->token);
    }
  }
}

/// A resource that is written to at the beginning and at the end of each hold.
void check_register(const Chronicle& chronicle, const std::vector<Hold>& holds, Findings& findings) {
  struct Write {
    Time time;
    const Turn* turn;
  };
  std::vector<Write> writes;
  for (const Hold& hold : holds) {
    if (hold.turn->token == 0 || hold.span.from == hold.span.to) continue;
    writes.push_back({hold.span.from, hold.turn});
    writes.push_back({hold.span.to, hold.turn});
  }
  std::stable_sort(writes.begin(), writes.end(), [](const Write& a, const Write& b) { return a.time < b.time; });
  const Turn* last = nullptr;
  for (const Write& write : writes) {
    if (last == nullptr || write.turn->token >= last->token) {
      last = write.turn;
    } else if (!chronicle.spoiled(write.turn->key, std::min(write.turn->wanted, last->wanted), write.time)) {
      findings.add(write.time, "a valid write is refused:", write.turn->key, write.turn->id, "has", write.turn->token,
                   "after", last->token, "of", last->id);
    }
  }
}

}  // namespace

void check_exclusion(const Chronicle& chronicle, Findings& findings) {
  for (const auto& [key, all] : holds_by_key(chronicle)) {
    const Hold* longest = nullptr;
    for (const Hold& hold : all) {
      if (longest != nullptr && longest->turn != hold.turn && overlap(longest->span, hold.span) &&
          !chronicle.spoiled(key, std::min(longest->turn->wanted, hold.turn->wanted), hold.span.from)) {
        findings.add(hold.span.from, "two inside:", key, longest->turn->id, "until", longest->span.to, "and",
                     hold.turn->id, "from", hold.span.from, "until", hold.span.to);
      }
      if (longest == nullptr || hold.span.to > longest->span.to) longest = &hold;
    }
  }
}

void check_tokens(const Chronicle& chronicle, Findings& findings) {
  std::map<std::string, std::vector<const Turn*>> turns;
  for (const Turn& turn : chronicle.turns()) {
    if (turn.inside && turn.token != 0) turns[turn.key].push_back(&turn);
  }
  for (auto& [key, all] : turns) check_token_order(chronicle, std::move(all), findings);
  for (const auto& [key, all] : holds_by_key(chronicle)) check_register(chronicle, all, findings);
}

void check_backing(const Chronicle& chronicle, Findings& findings) {
  for (const Turn& turn : chronicle.turns()) {
    const std::vector<Span>& owned = chronicle.owned(turn.owner());
    for (const Span& hold : turn.holds) {
      const auto after = std::upper_bound(owned.begin(), owned.end(), hold.from,
                                          [](Time time, const Span& span) { return time < span.from; });
      const Time covered = after == owned.begin() ? hold.from : std::max(hold.from, std::prev(after)->to);
      if (covered < hold.to && !chronicle.spoiled(turn.key, turn.wanted, hold.to)) {
        findings.add(covered, "relies on a lock that is not its own on the server:", turn.key, turn.id, "until",
                     hold.to);
      }
    }
  }
}

// ---- leases ---------------------------------------------------------------------------------------------------------

namespace {

class Leases {
 public:
  Leases(const Chronicle& chronicle, const Bounds& bounds, Findings& findings)
      : chronicle_{chronicle}, bounds_{bounds}, findings_{findings} {}

  void take_in(const Event& event) {
    switch (event.kind) {
      case Kind::owner: granted(event); break;
      case Kind::free: servers_.erase(event.key); break;
      case Kind::inside:
      case Kind::lease: check_end(event); break;
      case Kind::release: check_was_made_full(event); break;
      default: break;
    }
  }

 private:
  struct Lease {
    std::string id;
    Time until{0};
    bool claim = false;  // the short one, as it was handed over
  };

  void granted(const Event& event) {
    const bool handed = event.note.starts_with("handed");
    servers_[event.key] = {event.id, event.until, handed};
    if ((event.until == never || event.until - event.time > bounds_.expiry + slack) &&
        !chronicle_.spoiled(event.key, event.time - slack, event.time)) {
      findings_.add(event.time, "a lease without an end, or too long a one:", event.key, event.id);
    }
    if (handed && event.until - event.time > bounds_.claim + slack) {
      findings_.add(event.time, "handed over for too long:", event.key, event.id);
    }
  }

  /// That a client knows of is not later than the server's.
  void check_end(const Event& event) {
    const auto place = servers_.find(event.key);
    const Turn* turn = chronicle_.turn(event.id);
    if (place == servers_.end() || place->second.id != turn->owner() || event.until <= event.time) return;
    if (event.until > place->second.until && !chronicle_.spoiled(event.key, turn->wanted, event.time)) {
      findings_.add(event.time, "counts on the lock for longer than the server:", event.key, event.id, "by",
                    event.until - place->second.until);
    }
  }

  void check_was_made_full(const Event& event) {
    const auto place = servers_.find(event.key);
    const Turn* turn = chronicle_.turn(event.id);
    if (place == servers_.end() || place->second.id != event.id || !place->second.claim || !turn->inside) return;
    // If leases are as short as that anyway, it is a full one.
    if (place->second.until >= *turn->inside + bounds_.lease - bounds_.message - slack) return;
    if (event.time > done_by(*turn->inside + bounds_.confirms + bounds_.timers, bounds_) &&
        chronicle_.undisturbed(turn->client, turn->wanted, event.time) &&
        !chronicle_.forgetful(turn->wanted, event.time) && !chronicle_.spoiled(event.key, turn->wanted, event.time)) {
      findings_.add(event.time, "was inside with a short lease only:", event.key, event.id);
    }
  }

  const Chronicle& chronicle_;
  const Bounds& bounds_;
  Findings& findings_;
  std::map<std::string, Lease> servers_;
};

}  // namespace

void check_leases(const Chronicle& chronicle, const Bounds& bounds, Findings& findings) {
  Leases leases{chronicle, bounds, findings};
  for (const Event& event : chronicle.events()) leases.take_in(event);
}

}  // namespace redismutex::histories
