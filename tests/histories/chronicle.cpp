#include "histories/chronicle.hpp"

#include <algorithm>
#include <utility>

namespace redismutex::histories {
namespace {

using Kind = Event::Kind;

void close_hold(Turn& turn, Time time) {
  if (turn.holds.empty() || turn.holds.back().to != never) return;
  turn.holds.back().to = std::max(turn.holds.back().from, std::min(time, turn.valid_until));
}

bool is_told_by_client(Kind kind) { return kind < Kind::disturbed; }

}  // namespace

Chronicle::Chronicle(History history, Time aftermath, Time settling) : history_{std::move(history)} {
  std::stable_sort(history_.begin(), history_.end(), [](const Event& a, const Event& b) { return a.time < b.time; });
  collect_troubles(aftermath, settling);
  collect_turns();
  collect_owners();
  collect_lines();
}

// ---- troubles -------------------------------------------------------------------------------------------------------

void Chronicle::collect_troubles(Time aftermath, Time settling) {
  std::map<int, Time> open;
  const auto disturb = [&](int client, Time from, Time to) {
    disturbances_[client].add({from, to == never ? never : to + settling});
  };
  for (const Event& event : history_) {
    if (event.kind == Kind::disturbed && event.until != never) disturb(event.client, event.time, event.until);
    if (event.kind == Kind::disturbed && event.until == never) open.try_emplace(event.client, event.time);
    if (event.kind == Kind::settled && open.contains(event.client)) {
      disturb(event.client, open[event.client], event.time);
      open.erase(event.client);
    }
    if (event.kind != Kind::disaster) continue;
    if (event.note == "script-flush") {
      forgetfulness_.add({event.time, event.time});
    } else if (event.note == "line") {
      line_spoils_[event.key].add({event.time, event.time});
    } else {
      const Time over = std::max(event.time, event.until);
      spoils_[event.key].add({event.time, over + (event.note == "clock-step" ? aftermath : Time{0})});
    }
    if (event.note == "clock-step") clock_steps_.add({event.time, event.time});
    if (event.note == "failover") revivals_.add({event.time, event.time});
  }
  for (const auto& [client, since] : open) disturb(client, since, never);
  for (auto& [client, spans] : disturbances_) spans.sort();
  for (auto& [key, spans] : spoils_) spans.sort();
  for (auto& [key, spans] : line_spoils_) spans.sort();
  forgetfulness_.sort();
  revivals_.sort();
  clock_steps_.sort();
}

bool Chronicle::undisturbed(int client, Time from, Time to) const {
  const auto touches = [&](int whom) {
    const auto place = disturbances_.find(whom);
    return place != disturbances_.end() && place->second.touch(from, to);
  };
  return !touches(client) && !touches(0);
}

Time Chronicle::calm_from(int client, Time time, Time length) const {
  // A gap of the one may end in what disturbs the other.
  for (Time before = -Time::max(); time != before;) {
    before = time;
    for (const int whom : {client, 0}) {
      const auto place = disturbances_.find(whom);
      if (place != disturbances_.end()) time = place->second.gap_after(time, length);
    }
  }
  return time;
}

Time Chronicle::deleted_after(const std::string& key, Time time) const {
  const auto place = deletions_.find(key);
  if (place == deletions_.end()) return never;
  const auto next = std::upper_bound(place->second.begin(), place->second.end(), time);
  return next == place->second.end() ? never : *next;
}

bool Chronicle::spoiled(const std::string& key, Time from, Time to) const {
  const auto touches = [&](const std::string& which) {
    const auto place = spoils_.find(which);
    return place != spoils_.end() && place->second.touch(from, to);
  };
  return touches(key) || touches({});
}

bool Chronicle::forgetful(Time from, Time to) const { return forgetfulness_.touch(from, to); }

bool Chronicle::line_spoiled(const std::string& key, Time from, Time to) const {
  const auto place = line_spoils_.find(key);
  return (place != line_spoils_.end() && place->second.touch(from, to)) || spoiled(key, from, to);
}

bool Chronicle::clock_was_set(Time from, Time to) const { return clock_steps_.touch(from, to); }

bool Chronicle::lapsed(const std::string& key, Time from, Time to) const {
  const auto place = lapses_.find(key);
  return place != lapses_.end() && place->second.touch(from, to);
}

bool Chronicle::revived(Time from, Time to) const { return revivals_.touch(from, to); }

// ---- turns ----------------------------------------------------------------------------------------------------------

const Turn* Chronicle::turn(std::string_view id) const {
  const auto place = turn_by_id_.find(id);
  return place == turn_by_id_.end() ? nullptr : &turns_[place->second];
}

Time Chronicle::over(const Turn& turn) const {
  const auto place = last_turn_.find(turn.owner());
  return place == last_turn_.end() ? turn.over() : turns_[place->second].over();
}

void Chronicle::collect_turns() {
  for (const Event& event : history_) {
    if (!is_told_by_client(event.kind)) continue;
    if (event.kind == Kind::dead) {
      end_turns_of(event.client, event.time);
      continue;
    }
    const Turn* first = turn(owner_of(event.id));
    const auto [place, added] = turn_by_id_.try_emplace(event.id, turns_.size());
    if (added) {
      turns_by_client_[event.client].push_back(turns_.size());
      turns_.push_back({.id = event.id,
                        .client = event.client,
                        .key = event.key,
                        .stranger = event.note == "stranger",
                        .wanted = first == nullptr ? event.time : first->wanted});
    }
    last_turn_[owner_of(event.id)] = place->second;
    take_in(turns_[place->second], event);
  }
  for (Turn& turn : turns_) close_hold(turn, never);
}

void Chronicle::end_turns_of(int client, Time time) {
  for (const std::size_t index : turns_by_client_[client]) {
    Turn& turn = turns_[index];
    close_hold(turn, time);
    if (turn.over() > time) turn.how_ended = "dead";
    if (!turn.ended) turn.ended = time;
  }
}

void Chronicle::take_in(Turn& turn, const Event& event) {
  switch (event.kind) {
    case Kind::want:
      turn.limit = event.until;
      turn.most_passes = event.token;
      break;
    case Kind::leads:
      turn.limit = event.until;
      if (turn.ended && !turn.yielded) turn.resurrected = event.time;
      if (!std::exchange(turn.yielded, false)) break;
      turn.ended.reset();
      turn.how_ended.clear();
      break;
    case Kind::inside:
      turn.inside = event.time;
      turn.valid_until = turn.entered_until = event.until;
      turn.token = event.token;
      turn.watched = event.note.starts_with("watched");
      turn.renewed = event.note.ends_with("renewed");
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
    case Kind::lost: turn.lost = event.time; break;
    case Kind::release:
      turn.release = event.time;
      close_hold(turn, event.time);
      break;
    case Kind::released:
    case Kind::gone:
    case Kind::unclear: turn.outcome = event; break;
    case Kind::yields:
    case Kind::ended:
      turn.ended = event.time;
      turn.how_ended = event.note;
      turn.yielded = event.kind == Kind::yields;
      break;
    default: break;
  }
}

// ---- the server's side ----------------------------------------------------------------------------------------------

void Chronicle::collect_owners() {
  std::map<std::string, std::pair<const Event*, Tenure>> present;
  const auto finish = [&](const std::string& key, Time time, bool by_itself) {
    const auto place = present.find(key);
    if (place == present.end()) return;
    auto& [event, tenure] = place->second;
    if (by_itself || tenure.span.to <= time) lapses_[key].add({time, time});
    tenure.span.to = std::min(tenure.span.to, time);
    auto& spans = owned_[event->id];
    if (!spans.empty() && spans.back().to >= tenure.span.from) {
      spans.back().to = std::max(spans.back().to, tenure.span.to);
    } else {
      spans.push_back(tenure.span);
    }
    owners_[key].push_back(std::move(tenure));
    present.erase(place);
  };
  for (const Event& event : history_) {
    if (event.kind != Kind::owner && event.kind != Kind::free) continue;
    finish(event.key, event.time, event.kind == Kind::free && !event.note.empty() && event.note != "by-value");
    if (event.kind == Kind::free && event.note == "DEL") deletions_[event.key].push_back(event.time);
    if (event.kind == Kind::owner) present[event.key] = {&event, {event.id, {event.time, event.until}}};
  }
  while (!present.empty()) finish(present.begin()->first, never, false);
  for (auto& [key, spans] : lapses_) spans.sort();
}

void Chronicle::collect_lines() {
  std::map<std::string, std::map<std::string, Time>> present;
  for (const Event& event : history_) {
    auto& line = present[event.key];
    if (event.kind == Kind::queued) line.try_emplace(event.id, event.time);
    if (event.kind != Kind::unqueued) continue;
    if (const auto place = line.find(event.id); place != line.end()) {
      lines_[event.key].push_back({event.id, {place->second, event.time}});
      line.erase(place);
    }
  }
  for (const auto& [key, line] : present) {
    for (const auto& [id, since] : line) lines_[key].push_back({id, {since, never}});
  }
}

const std::vector<Span>& Chronicle::owned(std::string_view id) const {
  static const std::vector<Span> none;
  const auto place = owned_.find(id);
  return place == owned_.end() ? none : place->second;
}

}  // namespace redismutex::histories
