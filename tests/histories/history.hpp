#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace redismutex::histories {

/// What happened in a run, as a checker reads it. Times are those of one clock that the clients can not see, in nanoseconds
/// since the beginning of the run.
struct Event {
  enum class Kind {
    // Told by them:
    want,   ///< begins to acquire; `until`: its limit, 0 for one attempt
    leads,  ///< asks the server, from now on, for all of its process that stand in line there; the id may be one that another yielded
    yields,    ///< asks no more, and leaves that to the next of its process
    inside,    ///< has the lock and starts to rely on it; `until`: valid_until
    lease,     ///< the lease now ends at `until`
    extended,  ///< was told that it has extended the lease: to end at `until`, if that counts from when it asked
    release,   ///< relies on it no more; the request leaves
    lost,      ///< was told, or has seen, that it is not the owner any more
    released,  ///< was told that it was the owner's until then
    gone,      ///< was told that it was not
    unclear,   ///< was told nothing
    ended,     ///< stopped acquiring without having got the lock; `note` says why
    denied,    ///< a resource refused the token of a write that was made before `until`, valid_until
    dead,      ///< will do nothing any more

    // About clients:
    disturbed,  ///< until `until` its connection, its process or a thread of it does not work as usual; all, for 0
    settled,    ///< what was disturbed without an end works again

    // Told by the server, where that can be had:
    owner,  ///< the key has this value now, and will have it until `until` at the latest
    free,   ///< the key is gone; `note`: why, if nobody gave it back
    queued,  ///< has a place in line, behind those with lower tickets, and counts as alive until `until`; `note`: whether it is
             ///< told when it is the first, or can not be told anything so far
    unqueued,  ///< has none any more
    disaster,  ///< the key, or each for an empty one, was changed by one who honours nothing, some time up to `until`
  };

  std::chrono::nanoseconds time{0};
  Kind kind = Kind::want;
  int client = 0;  ///< 0 for the server; see process_of()
  std::string key = {};
  std::string id = {};
  std::chrono::nanoseconds until{0};
  std::string note = {};
  std::uint64_t token =
      0;  ///< of who is inside, if it asked for one; of who is in line, the ticket; of who wants the lock and stands in
          ///< line in its process, in how many passes in a row it may take part
};

using History = std::vector<Event>;

/// The process of a client. Histories that tell nothing of `leads` may number their clients as they like.
constexpr int clients_per_process = 1000;
constexpr int process_of(int client) { return client / clients_per_process; }

/// One line: time, kind, client, key, id, until, note; "-" for what is empty. A token follows, if there is one.
std::ostream& operator<<(std::ostream& out, const Event& event);
std::istream& operator>>(std::istream& in, Event& event);

}  // namespace redismutex::histories
