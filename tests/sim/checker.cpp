#include "sim/checker.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

namespace redismutex::sim {
namespace {

using Time = std::chrono::nanoseconds;
using namespace std::chrono_literals;
using Kind = Event::Kind;

constexpr Time never = Time::max();

/// What a thread needs to run once it may, and a timer's and the server's clock's resolution.
constexpr Time slack = 2ms;

struct Span {
  Time from{0};
  Time to{0};
};

/// The note of a disaster that harms no lock.
constexpr const char* scripts_forgotten = "SCRIPT-FLUSH";

bool overlap(const Span& a, const Span& b) { return a.from < b.to && b.from < a.to; }

/// One client's way from wanting a lock to having given it back.
struct Turn {
  int client = 0;
  std::string key;
  Time wanted{0};
  Time limit{0};  // 0: one attempt
  std::optional<Time> inside, release, ended;
  std::string how_ended;
  Time valid_until{0};
  std::optional<Event> outcome;  // of the release
  std::vector<Span> holds;       // when it relied on the lock
  bool stranger = false;         // honours nothing of the queue

  /// When it had ended or given back; never, if that was not seen.
  Time over() const { return ended ? *ended : outcome ? outcome->time : never; }
};

/// A time for which the server had one owner for a key.
struct Ownership {
  std::string id;
  Span span;
};

class Checker {
 public:
  Checker(History history, const Bounds& bounds) : history_{std::move(history)}, bounds_{bounds} {
    std::stable_sort(history_.begin(), history_.end(), [](const Event& a, const Event& b) { return a.time < b.time; });
    if (!history_.empty()) end_ = history_.back().time;
  }

  Verdict run() {
    collect_disturbances();
    collect_turns();
    collect_ownerships();
    check_exclusion();
    if (server_is_known_) {
      check_holds_are_backed();
      check_server_events();
      check_promptness();
      check_idle_keys();
    }
    for (const auto& [id, turn] : turns_) {
      check_limits(id, turn);
      check_release(id, turn);
      if (turn.inside) ++verdict_.acquired;
    }
    verdict_.waited = waited_.size();
    return std::move(verdict_);
  }

 private:
  template <class... Words>
  void violation(Time time, const Words&... words) {
    std::ostringstream text;
    text << std::chrono::duration<double>{time}.count() << " s: ";
    ((text << words << ' '), ...);
    verdict_.violations.push_back(text.str());
  }

  static double ms(Time time) { return std::chrono::duration<double, std::milli>{time}.count(); }

  // ---- collecting -------------------------------------------------------------------------------------------------

  void collect_disturbances() {
    std::map<int, std::size_t> open;
    for (const Event& event : history_) {
      if (event.kind == Kind::disaster) disasters_.push_back(event);
      if (event.kind == Kind::settled && open.contains(event.client)) {
        disturbances_[event.client][open[event.client]].to = event.time;
        open.erase(event.client);
      }
      if (event.kind != Kind::disturbed) continue;
      auto& spans = disturbances_[event.client];
      if (event.until == never) open[event.client] = spans.size();
      spans.push_back({event.time, event.until});
    }
  }

  /// Whether the server forgot the scripts. Then a request whose answer nobody reads comes to nothing.
  bool forgetful(Time from, Time to) const { return happened(scripts_forgotten, from, to); }

  /// Whether the server may know again what it had forgotten.
  bool revived(Time from, Time to) const { return happened("failover", from, to); }

  bool happened(const char* disaster, Time from, Time to) const {
    return std::any_of(disasters_.begin(), disasters_.end(), [&](const Event& event) {
      return event.note == disaster && from <= event.time && event.time <= to;
    });
  }

  /// By when the server has done what a client began then: it may have to be taught a script first.
  Time done_by(Time time) const { return time == never ? never : time + 4 * bounds_.message + slack; }

  bool undisturbed(int client, Time from, Time to) const {
    return undisturbed_itself(client, from, to) && undisturbed_itself(0, from, to);
  }

  bool undisturbed_itself(int client, Time from, Time to) const {
    const auto place = disturbances_.find(client);
    if (place == disturbances_.end()) return true;
    return std::none_of(place->second.begin(), place->second.end(), [&](const Span& span) {
      return span.from <= to && from <= (span.to == never ? never : span.to + 2 * bounds_.message);
    });
  }

  /// Whether nobody promises anything about the key for this time. A step of the clock also spoils what is granted later
  /// on the ground of earlier readings.
  bool disaster(const std::string& key, Time from, Time to) const {
    return std::any_of(disasters_.begin(), disasters_.end(), [&](const Event& event) {
      const Time aftermath = event.note == "clock-step" ? bounds_.expiry + 4 * bounds_.delay + bounds_.claim : Time{0};
      if (event.note == scripts_forgotten) return false;
      return (event.key.empty() || event.key == key) && event.time <= to && from <= event.time + aftermath;
    });
  }

  void collect_turns() {
    for (const Event& event : history_) {
      if (event.kind >= Kind::owner || event.kind == Kind::disturbed || event.kind == Kind::settled) continue;
      if (event.kind == Kind::dead) {
        for (auto& [id, turn] : turns_) {
          if (turn.client != event.client) continue;
          close_hold(turn, event.time);
          if (!turn.ended) turn.ended = event.time;
        }
        continue;
      }
      const auto [place, added] = turns_.try_emplace(event.id);
      Turn& turn = place->second;
      if (added) {
        turn.client = event.client;
        turn.key = event.key;
        turn.wanted = event.time;
        turn.stranger = event.note == "stranger";
      }
      take_in(turn, event);
    }
    for (auto& [id, turn] : turns_) close_hold(turn, never);
  }

  void take_in(Turn& turn, const Event& event) {
    switch (event.kind) {
      case Kind::want: turn.limit = event.until; break;
      case Kind::inside:
        turn.inside = event.time;
        turn.valid_until = event.until;
        turn.holds.push_back({event.time, never});
        break;
      case Kind::lease:
        if (event.time >= turn.valid_until) {
          // It had ended. If an extension got through nevertheless, it is relied on again from now on.
          close_hold(turn, turn.valid_until);
          if (!turn.release && event.until > event.time) turn.holds.push_back({event.time, never});
        }
        turn.valid_until = event.until;
        break;
      case Kind::release:
        turn.release = event.time;
        close_hold(turn, event.time);
        break;
      case Kind::released:
      case Kind::gone:
      case Kind::unclear: turn.outcome = event; break;
      case Kind::ended:
        turn.ended = event.time;
        turn.how_ended = event.note;
        break;
      default: break;
    }
  }

  static void close_hold(Turn& turn, Time time) {
    if (turn.holds.empty() || turn.holds.back().to != never) return;
    turn.holds.back().to = std::max(turn.holds.back().from, std::min(time, turn.valid_until));
  }

  void collect_ownerships() {
    std::map<std::string, Ownership> present;
    const auto finish = [&](const std::string& key, Time time) {
      const auto place = present.find(key);
      if (place == present.end()) return;
      place->second.span.to = std::min(place->second.span.to, time);
      owned_[place->second.id].push_back(place->second.span);
      ownerships_[key].push_back(std::move(place->second));
      present.erase(place);
    };
    for (const Event& event : history_) {
      if (event.kind != Kind::owner && event.kind != Kind::free) continue;
      server_is_known_ = true;
      finish(event.key, event.time);
      if (event.kind == Kind::owner) present[event.key] = {event.id, {event.time, event.until}};
    }
    for (const auto& [key, last] : std::map{present}) finish(key, never);
  }

  // ---- checking ---------------------------------------------------------------------------------------------------

  /// At no time two rely on the same lock.
  void check_exclusion() {
    struct Hold {
      Span span;
      const std::string* id;
    };
    std::map<std::string, std::vector<Hold>> holds;
    for (const auto& [id, turn] : turns_) {
      for (const Span& span : turn.holds) holds[turn.key].push_back({span, &id});
    }
    for (auto& [key, all] : holds) {
      std::sort(all.begin(), all.end(), [](const Hold& a, const Hold& b) { return a.span.from < b.span.from; });
      const Hold* longest = nullptr;
      for (const Hold& hold : all) {
        if (longest != nullptr && *longest->id != *hold.id && overlap(longest->span, hold.span) &&
            !disaster(key, std::min(turns_[*longest->id].wanted, turns_[*hold.id].wanted), hold.span.from)) {
          violation(hold.span.from, "two inside", key, *longest->id, "until", ms(longest->span.to), "and", *hold.id,
                    "from", ms(hold.span.from), "until", ms(hold.span.to));
        }
        if (longest == nullptr || hold.span.to > longest->span.to) longest = &hold;
      }
    }
  }

  /// Whoever relies on a lock has it on the server.
  void check_holds_are_backed() {
    for (const auto& [id, turn] : turns_) {
      for (const Span& hold : turn.holds) {
        if (disaster(turn.key, turn.wanted, hold.to)) continue;
        Time covered = hold.from;
        for (const Span& owned : owned_[id]) {
          if (owned.from <= covered) covered = std::max(covered, owned.to);
        }
        if (covered < hold.to) {
          violation(covered, "relies on a lock that is not its own on the server:", turn.key, id, "until", ms(hold.to));
        }
      }
    }
  }

  struct Place {
    Time since{0};
    Time alive_until{0};
  };

  /// What the server does, in the order in which it does it.
  void check_server_events() {
    std::map<std::string, std::map<std::string, Place>> queues;
    std::map<std::string, std::string> owners;
    std::map<std::string, Time> expiries;
    for (const Event& event : history_) {
      auto& queue = queues[event.key];
      switch (event.kind) {
        case Kind::queued: {
          const auto [place, added] = queue.try_emplace(event.id);
          if (added) place->second.since = event.time;
          place->second.alive_until = event.until;
          check_no_traces(event, "queued");
          break;
        }
        case Kind::unqueued: check_place_lost(event, owners[event.key]); [[fallthrough]];
        case Kind::free:
          if (event.kind == Kind::free) {
            owners[event.key].clear();
          } else {
            place_lost(queue, event);
          }
          break;
        case Kind::owner:
          check_owner(event, owners[event.key]);
          if (owners[event.key] != event.id) check_order(event, queue);
          owners[event.key] = event.id;
          expiries[event.key] = event.until;
          if (event.note.empty()) {
            claims_.erase(event.id);
          } else {
            claims_.insert(event.id);
          }
          break;
        case Kind::release: check_full_lease(event); break;
        case Kind::inside:
        case Kind::lease:
          if (owners[event.key] == event.id) check_deadline(event, expiries[event.key]);
          break;
        default: break;
      }
    }
  }

  /// Whoever was handed the lock with a short lease asks for the full one at once.
  void check_full_lease(const Event& event) {
    const Turn& turn = turns_[event.id];
    if (claims_.contains(event.id) && turn.inside && event.time > done_by(*turn.inside) &&
        undisturbed(turn.client, turn.wanted, event.time) && !forgetful(turn.wanted, event.time) &&
        !disaster(event.key, turn.wanted, event.time)) {
      violation(event.time, "was inside with a short lease only:", event.key, event.id);
    }
  }

  /// The end of a lease is known before it comes.
  void check_deadline(const Event& event, Time expiry) {
    if (event.until <= event.time || event.until <= expiry || disaster(event.key, turns_[event.id].wanted, event.time))
      return;
    violation(event.time, "counts on the lock for longer than the server:", event.key, event.id, "by",
              ms(event.until - expiry), "ms");
  }

  void place_lost(std::map<std::string, Place>& queue, const Event& event) {
    const auto place = queue.find(event.id);
    if (place == queue.end()) return;
    in_line_[event.key].push_back({event.id, {place->second.since, event.time}});
    queue.erase(place);
  }

  void check_owner(const Event& event, const std::string& owner_before) {
    if (event.until == never || event.until - event.time > bounds_.expiry + slack) {
      if (!disaster(event.key, event.time - slack, event.time))
        violation(event.time, "no expiry, or too long a one:", event.key, event.id);
    }
    if (event.note == "handed-to-stale" || event.note == "handed-to-unreachable") {
      violation(event.time, event.note, event.key, event.id);
    }
    if (event.note == "handed" && event.until - event.time > bounds_.claim + slack) {
      violation(event.time, "handed over for too long:", event.key, event.id);
    }
    if (owner_before != event.id) check_no_traces(event, "the owner");
  }

  /// Whoever has ended, or given back, is nobody for the server any more.
  void check_no_traces(const Event& event, const char* as_what) {
    const auto place = turns_.find(event.id);
    if (place == turns_.end()) return;
    const Turn& turn = place->second;
    if (event.time > done_by(turn.over()) && undisturbed(turn.client, turn.wanted, event.time) &&
        !forgetful(turn.wanted, event.time) && !revived(turn.wanted, event.time)) {
      violation(event.time, as_what, "although it has ended:", event.key, event.id);
    }
  }

  /// Nobody who waits as he should is taken out of the line.
  void check_place_lost(const Event& event, const std::string& owner) {
    const auto place = turns_.find(event.id);
    if (place == turns_.end() || owner == event.id) return;
    const Turn& turn = place->second;
    const Time given_up = turn.ended ? *turn.ended : turn.inside ? *turn.inside : never;
    if (given_up > event.time && undisturbed(turn.client, turn.wanted, event.time) &&
        !disaster(turn.key, turn.wanted, event.time)) {
      violation(event.time, "lost its place in the line:", event.key, event.id);
    }
  }

  /// Of those who wait, and whom nothing disturbs, the one who came first is served first.
  void check_order(const Event& event, const std::map<std::string, Place>& queue) {
    const auto served = queue.find(event.id);
    if (served == queue.end()) return;
    waited_.insert(event.id);
    for (const auto& [id, place] : queue) {
      if (place.since >= served->second.since || place.alive_until < event.time) continue;
      const auto turn = turns_.find(id);
      if (turn == turns_.end()) continue;
      const Time given_up = turn->second.ended.value_or(never);
      if (given_up > event.time && undisturbed(turn->second.client, turn->second.wanted, event.time) &&
          !disaster(event.key, place.since, event.time)) {
        violation(event.time, "served out of turn:", event.key, event.id, "before", id);
      }
    }
  }

  /// Whoever gets the lock, and is not disturbed, is inside as soon as the news can have arrived; and whoever ends leaves
  /// nothing on the server.
  void check_promptness() {
    for (const auto& [key, all] : ownerships_) {
      for (const Ownership& owned : all) {
        const auto place = turns_.find(owned.id);
        if (place == turns_.end() || place->second.stranger) continue;
        const Turn& turn = place->second;
        const Time heard_by = owned.span.from + bounds_.news + slack;
        if (disaster(key, turn.wanted, heard_by)) continue;
        const Time reacted = turn.inside ? *turn.inside : turn.ended ? *turn.ended : turn.release.value_or(never);
        if (reacted > heard_by && heard_by < end_ && undisturbed(turn.client, turn.wanted, heard_by)) {
          violation(owned.span.from, "not inside in time:", key, owned.id);
        }
        const Time gone_by = done_by(turn.over());
        if (owned.span.to > gone_by && undisturbed(turn.client, turn.wanted, gone_by) &&
            !forgetful(turn.wanted, gone_by) && !revived(turn.wanted, owned.span.from)) {
          violation(gone_by, "still the owner although it has ended:", key, owned.id);
        }
      }
    }
    for (const auto& [key, all] : in_line_) {
      for (const Ownership& queued : all) {
        const auto place = turns_.find(queued.id);
        if (place == turns_.end()) continue;
        const Turn& turn = place->second;
        const Time gone_by = done_by(turn.over());
        if (queued.span.to > gone_by && undisturbed(turn.client, turn.wanted, gone_by) &&
            !forgetful(turn.wanted, gone_by) && !revived(turn.wanted, queued.span.from)) {
          violation(gone_by, "still in line although it has ended:", key, queued.id);
        }
      }
    }
  }

  /// A lock that is free while somebody waits for it does not stay so: waiters look by themselves.
  void check_idle_keys() {
    const Time bound = bounds_.idle + slack;
    for (const auto& [key, waiters] : in_line_) {
      Time idle_since{0};
      std::vector<Span> idle;
      for (const Ownership& owned : ownerships_[key]) {
        if (owned.span.from > idle_since) idle.push_back({idle_since, owned.span.from});
        idle_since = std::max(idle_since, owned.span.to);
      }
      for (const Ownership& waiter : waiters) {
        const auto place = turns_.find(waiter.id);
        if (place == turns_.end()) continue;
        const Turn& turn = place->second;
        for (const Span& gap : idle) {
          const Span both{std::max(gap.from, waiter.span.from),
                          std::min({gap.to, waiter.span.to, turn.ended.value_or(never)})};
          if (both.to > both.from + bound && undisturbed(turn.client, turn.wanted, both.to)) {
            violation(both.from, "a free lock that is not taken:", key, "by", waiter.id, "for", ms(both.to - both.from),
                      "ms");
          }
        }
      }
    }
  }

  /// Limits of waits: not given up earlier, and not much later.
  void check_limits(const std::string& id, const Turn& turn) {
    if (turn.limit == Time{0} || turn.stranger) return;
    const bool gave_up = turn.how_ended == "taken" || turn.how_ended == "timed-out";
    if (gave_up && *turn.ended < turn.limit) {
      violation(*turn.ended, "gave up before its limit:", turn.key, id, turn.how_ended);
    }
    const Time known = turn.inside ? *turn.inside : turn.ended.value_or(Time{0});
    if (known > done_by(turn.limit) && undisturbed(turn.client, turn.wanted, known)) {
      violation(known, "went on after its limit:", turn.key, id);
    }
  }

  /// Whoever gives back within the lease is told that it was his.
  void check_release(const std::string& id, const Turn& turn) {
    if (!turn.outcome || !turn.inside || turn.outcome->kind == Kind::released) return;
    if (*turn.release + slack >= turn.valid_until || disaster(turn.key, turn.wanted, turn.outcome->time)) return;
    if (forgetful(turn.wanted, turn.outcome->time)) return;
    if (undisturbed(turn.client, turn.wanted, turn.outcome->time)) {
      violation(turn.outcome->time, "released in time, and was told otherwise:", turn.key, id, turn.outcome->note);
    }
  }

  History history_;
  const Bounds bounds_;
  Time end_{0};
  Verdict verdict_;
  bool server_is_known_ = false;
  std::vector<Event> disasters_;
  std::map<int, std::vector<Span>> disturbances_;
  std::map<std::string, Turn> turns_;                         // by id
  std::map<std::string, std::vector<Ownership>> ownerships_;  // by key
  std::map<std::string, std::vector<Span>> owned_;            // by id: the same
  std::map<std::string, std::vector<Ownership>> in_line_;     // by key: who had a place, and when
  std::set<std::string> waited_;                              // who was served after a time in line
  std::set<std::string> claims_;                              // who has the short lease that it was handed
};

}  // namespace

Verdict check(History history, const Bounds& bounds) { return Checker{std::move(history), bounds}.run(); }

}  // namespace redismutex::sim
