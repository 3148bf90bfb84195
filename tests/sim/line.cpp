#include "sim/line.hpp"

#include <string_view>
#include <utility>

#include "protocol/script.hpp"

namespace redismutex::sim {
namespace {

constexpr double apart = 4e15;
constexpr std::size_t id_size = 36;
constexpr std::size_t most_absent = 16;

struct Details {
  char digit = 0;
  std::string mailbox = {};

  explicit Details(const std::string& text) {
    if (text.empty()) return;
    digit = text.front();
    mailbox = text.substr(1);
    if (digit >= '4' && digit <= '7') mailbox.erase(0, mailbox.find(' ') + 1);
  }
  bool is_known() const { return digit >= '0' && digit <= '7'; }
};

/// Those that are ahead of the one with this place.
std::vector<const Waiter*> ahead_of(const std::string& id, const Waiter& served, const Line& line) {
  std::vector<const Waiter*> ahead;
  const std::string member = id + served.places.front().details;
  for (const auto& [other, waiter] : line) {
    if (waiter.places.empty() || other == id) continue;
    const std::pair place{waiter.ticket(), other + waiter.places.front().details};
    if (place < std::pair{served.ticket(), member}) ahead.push_back(&waiter);
  }
  return ahead;
}

bool has_place(const Line& line, const std::string& id, const std::string& details) {
  const auto waiter = line.find(id);
  if (waiter == line.end()) return false;
  for (const Waiter::Place& place : waiter->second.places) {
    if (place.details == details) return true;
  }
  return false;
}

class Judge {
 public:
  Judge(const Line& before, const Line& after, const Change& change)
      : before_{before}, after_{after}, change_{change} {}

  std::vector<std::string> judge() {
    for (const auto& [id, waiter] : before_) check_waiter(id, waiter);
    check_move();
    if (change_.owner != change_.former_owner) change_.owner.empty() ? check_freed() : check_handed_over();
    return std::move(found_);
  }

 private:
  bool is_call_of(const protocol::Script& script) const {
    return change_.command.size() > 1 && change_.command[0] == "EVALSHA" && change_.command[1] == script.sha1;
  }

  bool is_release_of(const std::string& id) const {
    return is_call_of(protocol::scripts::release) && change_.command.size() > 8 && change_.command[6] == id;
  }

  /// Whoever stays keeps the ticket, whoever leaves takes both members along, and a newer version's place is nobody else's.
  void check_waiter(const std::string& id, const Waiter& was) {
    const auto now = after_.find(id);
    if (was.is_newer()) {
      // All of a line goes when its time has come.
      const bool gone = !after_.empty() && (now == after_.end() || !now->second.is_in_line());
      if (gone && was.is_in_line() && was.is_alive(change_.now_us))
        found_.push_back("a newer version's place is gone: " + id);
      return;
    }
    if (now == after_.end() || !was.is_in_line() || !was.is_alive(change_.now_us) || was.places.size() > 1) return;
    const Waiter& is = now->second;
    if (!is.is_in_line()) {
      // The server may have forgotten what the place is called now: then the waiter has another one.
      const bool is_the_same = is.places.empty() || is.places.front().details == was.places.front().details;
      const bool is_unknown = is_release_of(id) && change_.command[8] != was.places.front().details &&
                              (change_.command.size() < 10 || change_.command[9] != was.places.front().details);
      if (!is_the_same || is_unknown) return;
      found_.push_back("half a place is left: " + id);
    } else if (is.places.size() == 1 && is.ticket() != was.ticket() && change_.sends_messages) {
      found_.push_back("another ticket: " + id);
    }
  }

  /// A place that was moved to another mailbox.
  void check_move() {
    if (!is_call_of(protocol::scripts::acquire) || change_.command.size() < 12 || change_.command[11].empty()) return;
    const std::string& id = change_.command[6];
    if (has_place(after_, id, change_.command[8]) && has_place(after_, id, change_.command[11])) {
      found_.push_back("a place that was moved is still there: " + id);
    }
  }

  void check_freed() {
    if (!is_release_of(change_.former_owner) || !change_.sends_messages) return;
    for (const auto& [id, waiter] : after_) {
      const bool can_have_it =
          waiter.is_in_line() && !waiter.is_newer() && waiter.is_alive(change_.now_us) && change_.reaches(waiter);
      if (can_have_it) return found_.push_back("freed, although somebody waits: " + id);
    }
  }

  /// Those who were passed over are alive, and few.
  void check_handed_over() {
    const auto served = before_.find(change_.owner);
    if (served == before_.end() || !served->second.is_in_line()) return;
    std::size_t absent = 0;
    for (const Waiter* waiter : ahead_of(served->first, served->second, after_)) {
      if (waiter->is_newer() && waiter->is_alive(change_.now_us)) continue;
      if (!waiter->is_alive(change_.now_us)) return found_.push_back("a dead waiter is left ahead of " + served->first);
      ++absent;
    }
    if (absent > most_absent) found_.push_back("too many are left ahead of " + served->first);
  }

  const Line& before_;
  const Line& after_;
  const Change& change_;
  std::vector<std::string> found_;
};

}  // namespace

std::string Waiter::Place::mailbox() const {
  const Details parsed{details};
  return parsed.is_known() ? parsed.mailbox : "";
}

bool Waiter::is_newer() const { return !places.empty() && !Details{places.front().details}.is_known(); }

bool Waiter::wants_to_know_when_first() const {
  const Details details{places.front().details};
  return details.is_known() && ((details.digit - '0') & 2) != 0;
}

Line read_line(const Keyspace::Entry* entry) {
  Line line;
  const auto* set = entry == nullptr ? nullptr : std::get_if<SortedSet>(&entry->value);
  if (set == nullptr) return line;
  for (const auto& [score, member] : set->places()) {
    if (score >= apart) {
      if (member.size() == id_size) line[member].alive_until = static_cast<std::int64_t>(score - apart);
    } else if (member.size() > id_size) {
      line[member.substr(0, id_size)].places.push_back({static_cast<std::int64_t>(score), member.substr(id_size)});
    }
  }
  return line;
}

std::vector<std::string> mistakes(const Line& before, const Line& after, const Change& change) {
  return Judge{before, after, change}.judge();
}

}  // namespace redismutex::sim
