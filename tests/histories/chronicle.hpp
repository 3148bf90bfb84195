#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "histories/history.hpp"
#include "histories/spans.hpp"

namespace redismutex::histories {

/// The id that the server knows it by: threads that pass a lock on among themselves share one, "id+1" follows "id".
inline std::string_view owner_of(std::string_view id) { return id.substr(0, id.find('+')); }

/// One client's way from wanting a lock to having given it back.
struct Turn {
  std::string id;
  int client = 0;
  std::string key;
  bool stranger = false;  ///< honours nothing of the queue

  std::chrono::nanoseconds wanted{0};  ///< by the first of those who passed it on among themselves
  std::chrono::nanoseconds limit{0};   ///< 0: one attempt
  std::optional<std::chrono::nanoseconds> inside, lost, release, ended;
  bool watched = false;           ///< it is to be told when somebody changes the key
  bool renewed = false;           ///< for as long as it is inside
  bool yielded = false;           ///< it has ended for its client; another one may go on with it
  std::uint64_t most_passes = 0;  ///< as in Event::token; 0: it does not stand in line in its process
  std::optional<std::chrono::nanoseconds> resurrected;  ///< somebody went on with it although it had ended
  std::string how_ended;
  std::chrono::nanoseconds valid_until{0}, entered_until{0};  ///< the latter: when it came in
  std::uint64_t token = 0;
  std::vector<Span> holds;       ///< when it relied on the lock
  std::optional<Event> outcome;  ///< of the release

  std::string_view owner() const { return owner_of(id); }

  /// When it had ended or given back; never, if that was not seen.
  std::chrono::nanoseconds over() const {
    return ended ? *ended : outcome ? outcome->time : std::chrono::nanoseconds::max();
  }
};

/// A time for which the server had one owner for a key, or kept a place in the line for somebody.
struct Tenure {
  std::string id;
  Span span;
};

/// What a history tells, by who and what it is about.
class Chronicle {
 public:
  /// The events may come in any order. `aftermath`: for how long a step of the server's clock spoils what is granted on the
  /// ground of earlier readings; `settling`: for how long somebody who was disturbed is still late.
  Chronicle(History history, std::chrono::nanoseconds aftermath, std::chrono::nanoseconds settling);

  const History& events() const noexcept { return history_; }
  std::chrono::nanoseconds end() const { return history_.empty() ? std::chrono::nanoseconds{0} : history_.back().time; }

  const std::vector<Turn>& turns() const noexcept { return turns_; }
  const Turn* turn(std::string_view id) const;

  /// When the last of those to whom the lock was passed on had given it back.
  std::chrono::nanoseconds over(const Turn& turn) const;

  /// The first time after `time` at which somebody deleted the key by hand; never, if nobody did.
  std::chrono::nanoseconds deleted_after(const std::string& key, std::chrono::nanoseconds time) const;

  /// By key; in order of time.
  const std::map<std::string, std::vector<Tenure>>& owners() const noexcept { return owners_; }
  const std::map<std::string, std::vector<Tenure>>& lines() const noexcept { return lines_; }

  /// Of one id, merged where they touch; none if the server's side was not recorded.
  const std::vector<Span>& owned(std::string_view id) const;
  bool server_is_known() const noexcept { return !owners_.empty(); }

  /// Whether nothing kept the client, its connection or the server from working as usual.
  bool undisturbed(int client, std::chrono::nanoseconds from, std::chrono::nanoseconds to) const;

  /// The first time after `time` from when on that is so for `length`; never, if there is none.
  std::chrono::nanoseconds calm_from(int client, std::chrono::nanoseconds time, std::chrono::nanoseconds length) const;

  /// Whether somebody changed the key who honours nothing, or the server did not keep its promises.
  bool spoiled(const std::string& key, std::chrono::nanoseconds from, std::chrono::nanoseconds to) const;

  /// The same, or that somebody changed the line.
  bool line_spoiled(const std::string& key, std::chrono::nanoseconds from, std::chrono::nanoseconds to) const;

  /// Whether the clock was set then.
  bool clock_was_set(std::chrono::nanoseconds from, std::chrono::nanoseconds to) const;

  /// Whether a lock on the key ended without being given back: by its lease, or because somebody deleted it.
  bool lapsed(const std::string& key, std::chrono::nanoseconds from, std::chrono::nanoseconds to) const;

  /// Whether the server forgot the scripts. Then a request whose answer nobody reads comes to nothing.
  bool forgetful(std::chrono::nanoseconds from, std::chrono::nanoseconds to) const;

  /// Whether the server may know again what it had forgotten.
  bool revived(std::chrono::nanoseconds from, std::chrono::nanoseconds to) const;

 private:
  void collect_troubles(std::chrono::nanoseconds aftermath, std::chrono::nanoseconds settling);
  void collect_turns();
  void take_in(Turn& turn, const Event& event);
  void end_turns_of(int client, std::chrono::nanoseconds time);
  void collect_owners();
  void collect_lines();

  History history_;
  std::vector<Turn> turns_;
  std::unordered_map<std::string_view, std::size_t> turn_by_id_;  // of the events' texts
  std::map<int, std::vector<std::size_t>> turns_by_client_;
  std::unordered_map<std::string_view, std::size_t> last_turn_;  // by owner
  std::map<std::string, std::vector<Tenure>> owners_;
  std::map<std::string, std::vector<Tenure>> lines_;
  std::unordered_map<std::string_view, std::vector<Span>> owned_;
  std::map<int, Spans> disturbances_;
  std::map<std::string, Spans> spoils_;  // those of all keys under ""
  std::map<std::string, Spans> line_spoils_;
  std::map<std::string, std::vector<std::chrono::nanoseconds>> deletions_;
  std::map<std::string, Spans> lapses_;
  Spans forgetfulness_, revivals_, clock_steps_;
};

}  // namespace redismutex::histories
