#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "histories/rules.hpp"

namespace redismutex::histories {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;

/// What is known of a lock is good for so long, without a question.
constexpr Time knowledge = 1ms;

/// The id of the turn after this one.
std::string next_turn(const std::string& id) {
  const auto plus = id.find('+');
  const int passes = plus == std::string::npos ? 0 : std::stoi(id.substr(plus + 1));
  return std::string{owner_of(id)} + "+" + std::to_string(passes + 1);
}

/// Those that stand in line in one process for one key.
struct Crowd {
  std::set<int> waiting;
  std::optional<int> leader, holder;
  std::string way;      // of the leader
  std::string yielded;  // a way that nobody has taken up yet
  Time way_since{0};
  std::optional<Time> asks_since;  // the server has known of it, and it has not had the lock
  std::optional<Time> idle_since;  // nobody asks, and nobody has it
  int idler = 0;
};

/// The processes that want one key.
class Key {
 public:
  Key(const Chronicle& chronicle, const Bounds& bounds, Findings& findings)
      : chronicle_{chronicle}, bounds_{bounds}, findings_{findings} {}

  void take_in(const Event& event) {
    switch (event.kind) {
      case Kind::want: wanted(event); break;
      case Kind::leads: led(event); break;
      case Kind::yields:
      case Kind::ended: ended(event); break;
      case Kind::released:
      case Kind::gone:
      case Kind::unclear: given_back(event); break;
      case Kind::inside: entered(event); break;
      case Kind::queued: queued(event); break;
      case Kind::unqueued: places_.erase(event.id); break;
      case Kind::owner: owned(event); break;
      case Kind::free: owner_.clear(); break;
      case Kind::dead: died(event); break;
      default: break;
    }
  }

  void end(Time time) {
    for (const auto& [process, crowd] : crowds_) check_idling(crowd, time);
  }

 private:
  struct Place {
    Time since{0};
    Time alive_until{0};
  };
  struct Pass {
    Time time{0};
    int client = 0;          // of the one that passed it on
    std::size_t passes = 0;  // before it, while others were known to wait
    std::optional<Time> others_since;
  };

  /// Until somebody that begins to ask has its place, on a connection and with scripts that may have to be made first.
  Time start() const { return 16 * bounds_.message + slack; }

  // ---- who asks -----------------------------------------------------------------------------------------------------

  void wanted(const Event& event) {
    if (event.token == 0 || event.until == Time{0}) return;
    most_passes_[event.client] = event.token;
    Crowd& crowd = crowds_[process_of(event.client)];
    if (crowd.waiting.empty()) crowd.asks_since.reset();
    crowd.waiting.insert(event.client);
    note_idling(crowd, event.time);
  }

  void led(const Event& event) {
    Crowd& crowd = crowds_[process_of(event.client)];
    if (!crowd.waiting.contains(event.client)) return;
    if (!crowd.yielded.empty() && crowd.yielded != event.id) {
      findings_.add(event.time, "begins anew although its process had a place:", event.key, event.id, "after",
                    crowd.yielded);
    }
    crowd.yielded.clear();
    crowd.leader = event.client;
    if (std::exchange(crowd.way, event.id) != event.id) crowd.way_since = event.time;
    note_idling(crowd, event.time);
  }

  void ended(const Event& event) {
    Crowd& crowd = crowds_[process_of(event.client)];
    if (!crowd.waiting.contains(event.client)) return;
    const bool is_refused = event.note == "full" || event.note.starts_with("refused");
    if (is_refused) crowd.asks_since.reset();
    if (crowd.leader == event.client && crowd.way == event.id) {
      crowd.leader.reset();
      if (event.kind == Kind::yields) crowd.yielded = event.id;
    } else if (chronicle_.turn(event.id)->most_passes > 0) {
      crowd.waiting.erase(event.client);
      if (crowd.waiting.empty()) crowd.yielded.clear();
      if (event.note == "has-it") {
        if (crowd.leader == event.client) crowd.leader.reset();
        crowd.holder = event.client;
        crowd.asks_since.reset();
      }
    }
    note_idling(crowd, event.time);
  }

  void given_back(const Event& event) {
    Crowd& crowd = crowds_[process_of(event.client)];
    if (crowd.holder != event.client) return;
    crowd.holder.reset();
    crowd.asks_since.reset();
    if (event.note == "passed-on") passed(event);
    note_idling(crowd, event.time);
  }

  void died(const Event& event) {
    const auto place = crowds_.find(process_of(event.client));
    if (place != crowds_.end()) crowds_.erase(place);
  }

  /// While some wait, one of them asks, or has the lock.
  void note_idling(Crowd& crowd, Time time) {
    const bool is_idle = !crowd.waiting.empty() && !crowd.leader && !crowd.holder;
    if (is_idle == crowd.idle_since.has_value()) return;
    if (is_idle) {
      crowd.idle_since = time;
      crowd.idler = *crowd.waiting.begin();
    } else {
      check_idling(crowd, time);
      crowd.idle_since.reset();
    }
  }

  void check_idling(const Crowd& crowd, Time until) {
    if (!crowd.idle_since || until <= *crowd.idle_since + start()) return;
    const Time calm = chronicle_.calm_from(crowd.idler, *crowd.idle_since, start());
    if (calm < until - start()) {
      findings_.add(*crowd.idle_since, "nobody asks for those that wait in the process of", crowd.idler, "for",
                    until - *crowd.idle_since);
    }
  }

  // ---- between processes --------------------------------------------------------------------------------------------

  void queued(const Event& event) {
    places_.try_emplace(event.id, Place{event.time}).first->second.alive_until = event.until;
    const Turn* turn = chronicle_.turn(event.id);
    if (turn == nullptr) return;
    const auto crowd = crowds_.find(process_of(turn->client));
    // Some have ways of their own, and lead for nobody.
    if (crowd == crowds_.end() || crowd->second.way != event.id || crowd->second.asks_since) return;
    crowd->second.asks_since = event.time;
  }

  /// Of processes that wait, the one that came first is served first, whoever of it waits.
  void owned(const Event& event) {
    const auto served = places_.find(event.id);
    const Turn* turn = chronicle_.turn(event.id);
    if (std::exchange(owner_, event.id) == event.id) return;
    granted_at_ = event.time;
    if (served == places_.end() || turn == nullptr || !bounds_.tells_first) return;
    for (const auto& [process, crowd] : crowds_) {
      if (crowd.waiting.empty() || crowd.holder || process == process_of(turn->client)) continue;
      if (!crowd.asks_since || *crowd.asks_since + start() >= served->second.since) continue;
      const Time since = std::min(*crowd.asks_since, crowd.leader ? crowd.way_since : event.time);
      if (chronicle_.undisturbed(*crowd.waiting.begin(), since, event.time) &&
          !chronicle_.line_spoiled(event.key, since, event.time) && !chronicle_.forgetful(since, event.time)) {
        findings_.add(event.time, "served before a process that asks since", *crowd.asks_since, event.key, event.id,
                      "which came at", served->second.since);
      }
    }
  }

  /// Since when somebody waits at the server for the lock; none: nobody does.
  std::optional<Time> others_since(std::string_view owner, Time time) const {
    std::optional<Time> since;
    for (const auto& [id, place] : places_) {
      if (id == owner || place.alive_until < time) continue;
      since = std::min(since.value_or(place.since), place.since);
    }
    return since;
  }

  // ---- passes -------------------------------------------------------------------------------------------------------

  void passed(const Event& event) {
    const std::string owner{owner_of(event.id)};
    if (std::exchange(row_of_, owner) != owner) row_.clear();
    Pass pass{.time = event.time, .client = event.client, .others_since = others_since(owner, event.time)};
    if (pass.others_since) {
      const Time known_by =
          std::max(*pass.others_since + bounds_.news_of_others, granted_at_) + 4 * bounds_.message + slack;
      pass.passes =
          static_cast<std::size_t>(std::count_if(row_.begin(), row_.end(), [&](Time time) { return time > known_by; }));
      if (event.time > known_by + bounds_.row + slack && is_fair_game(pass, event)) {
        findings_.add(event.time, "passed on for too long while others wait:", event.key, event.id, "since",
                      *pass.others_since);
      }
    }
    row_.push_back(event.time);
    check_backing(event);
    passes_[next_turn(event.id)] = pass;
  }

  bool is_fair_game(const Pass& pass, const Event& event) const {
    return chronicle_.undisturbed(pass.client, *pass.others_since, event.time) &&
           !chronicle_.line_spoiled(event.key, *pass.others_since, event.time) &&
           !chronicle_.forgetful(*pass.others_since, event.time);
  }

  /// What was passed on is theirs on the server, or was a moment ago, whoever took it from them.
  void check_backing(const Event& event) {
    const Time least = event.time - knowledge - 4 * bounds_.message - slack;
    for (const Span& span : chronicle_.owned(owner_of(event.id))) {
      if (span.from <= event.time && span.to >= least) return;
    }
    const Turn* turn = chronicle_.turn(event.id);
    if (chronicle_.undisturbed(event.client, least - knowledge, event.time) &&
        !chronicle_.clock_was_set(turn->wanted, event.time)) {
      findings_.add(event.time, "passed on a lock that is not theirs on the server:", event.key, event.id);
    }
  }

  void entered(const Event& event) {
    const auto place = passes_.find(event.id);
    if (event.id == owner_) granted_at_ = event.time;
    if (place == passes_.end()) return;
    const Pass pass = place->second;
    passes_.erase(place);
    if (!chronicle_.undisturbed(event.client, pass.time, event.time)) return;
    if (event.until < event.time + bounds_.lease / 2 - bounds_.lease / 50 - slack) {
      findings_.add(event.time, "was passed next to nothing:", event.key, event.id, "lasts for",
                    event.until - event.time);
    }
    if (pass.others_since && pass.passes >= most_passes_[event.client] && is_fair_game(pass, event)) {
      findings_.add(event.time, "was passed the lock too often while others wait:", event.key, event.id, pass.passes);
    }
  }

  const Chronicle& chronicle_;
  const Bounds& bounds_;
  Findings& findings_;
  std::map<int, Crowd> crowds_;  // by process
  std::map<int, std::uint64_t> most_passes_;
  std::map<std::string, Place, std::less<>> places_;  // at the server
  std::string owner_, row_of_;
  Time granted_at_{0};                  // when it came in, if it has
  std::vector<Time> row_;               // the passes of the present owner
  std::map<std::string, Pass> passes_;  // by the turn that is to begin
};

}  // namespace

void check_processes(const Chronicle& chronicle, const Bounds& bounds, Findings& findings) {
  std::map<std::string, Key> keys;
  for (const Event& event : chronicle.events()) {
    if (event.kind == Kind::dead) {
      for (auto& [name, key] : keys) key.take_in(event);
    } else if (!event.key.empty()) {
      keys.try_emplace(event.key, chronicle, bounds, findings).first->second.take_in(event);
    }
  }
  for (auto& [name, key] : keys) key.end(chronicle.end());
  for (const Turn& turn : chronicle.turns()) {
    if (turn.resurrected) findings.add(*turn.resurrected, "goes on although it has ended:", turn.key, turn.id);
  }
}

}  // namespace redismutex::histories
