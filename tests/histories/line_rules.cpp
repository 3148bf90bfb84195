#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "histories/rules.hpp"

namespace redismutex::histories {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;

/// From when on the first in line watches the key, once it knows that it is the first.
constexpr Time before_watching = 20ms;

/// The line of one key, as the server keeps it.
class Line {
 public:
  Line(const Chronicle& chronicle, const Bounds& bounds, Findings& findings)
      : chronicle_{chronicle}, bounds_{bounds}, findings_{findings} {}

  void take_in(const Event& event) {
    if (alive(event.time) >= bounds_.waiters) last_full_ = event.time;
    switch (event.kind) {
      case Kind::yields:
      case Kind::ended: check_full(event); break;
      case Kind::queued: placed(event); break;
      case Kind::unqueued: left(event); break;
      case Kind::owner: owned(event); break;
      case Kind::free:
        if (!freed_ && owner_until_ > event.time) free_of(event.time, event.note);
        changed_ = event.time;
        break;
      default: break;
    }
  }

  std::size_t served() const noexcept { return served_; }

 private:
  /// Equal ones are in the order of the ids.
  using Ticket = std::pair<std::uint64_t, std::string>;

  struct Place {
    Time since{0};
    Time alive_until{0};
    Ticket ticket = {};
    bool is_told_when_first = false;
    bool is_reachable = true;
  };
  using Places = std::map<std::string, Place>;

  /// What the first in line can know.
  struct First {
    std::string id;
    Time since{0};          // when it asked and found itself the first
    Time asked{0};          // the last time
    Time owner_until{0};    // of the lease that it was told of then
    bool is_blind = false;  // the tracking of the key has ended without a word
  };

  void placed(const Event& event) {
    const auto [place, added] = places_.try_emplace(event.id);
    if (added) {
      place->second.since = event.time;
      place->second.ticket = {event.token, event.id};
      place->second.is_told_when_first = event.note == "is-told-when-first";
      order_[place->second.ticket] = event.id;
    }
    if (!added && place->second.ticket.first != event.token) {
      // Put back: it could not be told that the lock is its own.
      order_.erase(place->second.ticket);
      place->second.ticket.first = event.token;
      order_[place->second.ticket] = event.id;
    }
    place->second.alive_until = event.until;
    place->second.is_reachable = event.note != "unreachable";
    if (added && alive(event.time) > bounds_.waiters) {
      findings_.add(event.time, "more in line than may wait:", event.key, event.id);
    }
    if (order_.begin()->second != event.id) return;
    if (!first_ || first_->id != event.id) first_ = First{.id = event.id, .since = event.time};
    first_->asked = event.time;
    first_->owner_until = freed_ ? event.time : owner_until_;
  }

  void left(const Event& event) {
    const auto place = places_.find(event.id);
    if (place == places_.end()) return;
    if (first_ && first_->id == event.id) first_.reset();
    if (owner_ != event.id) check_loss(event);
    const bool was_first = order_.begin()->second == event.id;
    order_.erase(place->second.ticket);
    places_.erase(place);
    if (was_first && bounds_.tells_first && !order_.empty()) tell_first(event.time);
  }

  int alive(Time time) const {
    return static_cast<int>(std::count_if(places_.begin(), places_.end(),
                                          [time](const auto& place) { return place.second.alive_until >= time; }));
  }

  /// Only if so many waited, and were alive, at some time since it asked.
  void check_full(const Event& event) {
    const Turn* turn = chronicle_.turn(event.id);
    if (event.note != "full" || turn == nullptr || last_full_ >= turn->wanted) return;
    if (!chronicle_.line_spoiled(event.key, turn->wanted, event.time)) {
      findings_.add(event.time, "turned away although few are in line:", event.key, event.id);
    }
  }

  /// The next one, if it wants to know, is told that it is the first, and when the present lease ends.
  void tell_first(Time time) {
    const std::string& id = order_.begin()->second;
    if (!places_.at(id).is_told_when_first) return;
    first_ = First{.id = id, .since = time, .asked = time, .owner_until = freed_ ? time : owner_until_};
  }

  /// Nobody who waits as he should is taken out of the line.
  void check_loss(const Event& event) {
    const Turn* turn = chronicle_.turn(event.id);
    if (turn == nullptr) return;
    const Time given_up = turn->ended ? *turn->ended : turn->inside ? *turn->inside : never;
    if (given_up > event.time && chronicle_.undisturbed(turn->client, turn->wanted, event.time) &&
        !chronicle_.line_spoiled(turn->key, turn->wanted, event.time)) {
      findings_.add(event.time, "lost its place in the line:", event.key, event.id);
    }
  }

  void owned(const Event& event) {
    if (event.note == "handed-to-stale" || event.note == "handed-to-unreachable") {
      findings_.add(event.time, event.note, event.key, event.id);
    }
    if (event.id != owner_) {
      // The server deletes what has expired when it comes to it, or somebody else to it.
      if (!freed_ && owner_until_ <= event.time) free_of(owner_until_, "expired");
      if (freed_) check_promptness(event);
      check_order(event);
    }
    owner_ = event.id;
    owner_until_ = event.until;
    if (first_ && shares_connection(owner_)) first_->is_blind = true;
    changed_ = event.time;
    freed_.reset();
  }

  void free_of(Time time, std::string how) {
    freed_ = time;
    freed_how_ = std::move(how);
    const bool shares = shares_connection(owner_);
    freed_by_ = std::exchange(owner_, {});
    watched_ =
        first_ && !shares && !first_->is_blind && bounds_.watches &&
        std::max(first_->since + before_watching + 3 * bounds_.message, changed_ + 5 * bounds_.message) + slack < time;
  }

  /// Whether it is of the same process as the first in line: what it writes ends the tracking for both without a word.
  bool shares_connection(const std::string& owner) const {
    const Turn* holder = chronicle_.turn(owner);
    const Turn* first = first_ ? chronicle_.turn(first_->id) : nullptr;
    return holder != nullptr && first != nullptr && process_of(holder->client) == process_of(first->client);
  }

  /// The first in line knows when the lease of the present owner ends, and is told if the key is deleted.
  void check_promptness(const Event& event) {
    if (!first_ || !bounds_.tidy || places_.at(first_->id).alive_until < event.time) return;
    const bool expired = freed_how_ == "expired" && first_->owner_until <= *freed_ + slack;
    const bool deleted = (freed_how_ == "DEL" && watched_) || (freed_how_ == "by-value" && is_handed_on(event.time));
    if (!expired && !deleted) return;
    const Turn* turn = chronicle_.turn(first_->id);
    if (turn == nullptr || turn->ended.value_or(never) <= event.time) return;
    const Time since = std::max(*freed_, first_->asked);
    // It counts the lease on a clock of its own.
    const Time drift = std::clamp(first_->owner_until - first_->since, Time{0}, bounds_.expiry) / 100;
    const Time bound = 4 * bounds_.message + 2ms + slack + drift;
    if (event.time > since + bound && chronicle_.undisturbed(turn->client, turn->wanted, event.time) &&
        !chronicle_.forgetful(turn->wanted, event.time) && !spoiled_otherwise(event)) {
      findings_.add(event.time, "the first in line is not in at once:", event.key, first_->id, freed_how_, "at",
                    *freed_);
    }
  }

  /// Whoever has deleted the key looks for the line, and gives the lock to the first in it.
  bool is_handed_on(Time by) const {
    const Turn* turn = chronicle_.turn(freed_by_);
    return bounds_.tells_first && turn != nullptr && chronicle_.undisturbed(turn->client, *freed_, by);
  }

  /// But for the deletion itself.
  bool spoiled_otherwise(const Event& event) const {
    const bool before = chronicle_.line_spoiled(event.key, std::min(first_->since, *freed_ - 1ns), *freed_ - 1ns);
    return before || chronicle_.line_spoiled(event.key, *freed_ + 1ns, event.time);
  }

  /// Of those who wait, and whom nothing disturbs, the one who came first is served first.
  void check_order(const Event& event) {
    const auto served = places_.find(event.id);
    if (served == places_.end()) return;
    ++served_;
    for (const auto& [ticket, id] : order_) {
      if (ticket >= served->second.ticket) break;
      const Place& place = places_.at(id);
      const Turn* turn = chronicle_.turn(id);
      if (turn == nullptr || !place.is_reachable || place.alive_until < event.time ||
          turn->ended.value_or(never) <= event.time)
        continue;
      if (chronicle_.undisturbed(turn->client, turn->wanted, event.time) &&
          !chronicle_.line_spoiled(event.key, place.since, event.time)) {
        findings_.add(event.time, "served out of turn:", event.key, event.id, "before", id);
      }
    }
  }

  const Chronicle& chronicle_;
  const Bounds& bounds_;
  Findings& findings_;
  Places places_;
  std::map<Ticket, std::string> order_;  // those in line, by when they came
  std::size_t served_ = 0;
  std::optional<First> first_;
  std::string owner_, freed_by_;
  Time owner_until_{0};
  Time last_full_ = -1ns;      // when as many waited as may, the last time that something happened
  Time changed_{0};            // when the key was changed last
  std::optional<Time> freed_;  // since when nobody owns it
  std::string freed_how_;
  bool watched_ = false;  // by the first in line, when it was freed
};

}  // namespace

std::size_t check_line(const Chronicle& chronicle, const Bounds& bounds, Findings& findings) {
  std::map<std::string, Line> lines;
  for (const Event& event : chronicle.events()) {
    if (event.key.empty()) continue;
    lines.try_emplace(event.key, chronicle, bounds, findings).first->second.take_in(event);
  }
  std::size_t served = 0;
  for (const auto& [key, line] : lines) served += line.served();
  return served;
}

}  // namespace redismutex::histories
