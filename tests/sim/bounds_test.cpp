#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "histories/history.hpp"
#include "sim/simulation.hpp"

// How long a lock stands empty after something went wrong, while somebody waits for it: in virtual time, with the default
// options, over many seeds. The checker knows these bounds too, but works them out for each run; here are the plain numbers.
namespace redismutex::sim {
namespace {

using histories::Event;
using histories::History;

using namespace std::chrono_literals;
using Time = std::chrono::nanoseconds;
using Kind = Event::Kind;

/// For how long nobody was inside who could be.
struct Gap {
  std::string cause;
  Time length{0};
};

/// Reads the history of one key.
class Gaps {
 public:
  std::vector<Gap> read(const History& history) {
    for (const Event& event : history) take_in(event);
    return std::move(found_);
  }

 private:
  void take_in(const Event& event) {
    switch (event.kind) {
      case Kind::want:
      case Kind::leads: clients_[event.id] = event.client; break;
      case Kind::dead: dead_.insert(event.client); break;
      case Kind::queued: queued(event); break;
      case Kind::unqueued: left_ = {event.id, line_[event.id]}, line_.erase(event.id); break;
      case Kind::owner: owned(event); break;
      case Kind::free:
        if (event.note == "DEL" && is_watched(event.time)) open("deleted", event.time);
        changed_ = event.time;
        owner_.clear();
        break;
      case Kind::inside: entered(event); break;
      default: break;
    }
  }

  bool is_dead(const std::string& id) const { return dead_.contains(clients_.at(id)); }

  /// Whoever looks after its place learns whether it is the first.
  void queued(const Event& event) {
    line_.try_emplace(event.id, event.time);
    const auto earlier = [](const auto& a, const auto& b) { return a.second < b.second; };
    const auto first = std::min_element(line_.begin(), line_.end(), earlier);
    if (first->first == event.id && first_.id != event.id) first_ = {event.id, event.time};
  }

  /// Somebody has known for so long that he is the first, and the key is the same for so long, that he watches it.
  bool is_watched(Time time) const {
    return line_.contains(first_.id) && time - std::max(first_.since, changed_) > 30ms;
  }

  void owned(const Event& event) {
    if (event.id != owner_) {
      if (!owner_.empty() && owner_until_ <= event.time) {
        open(is_dead(owner_) ? "the holder died" : "the lease ended", owner_until_);
      }
      if (is_dead(event.id) && event.note.starts_with("handed")) {
        gap_.clear();
        open("the next in line had died", event.time);
      }
    }
    owner_ = event.id;
    owner_until_ = event.until;
    changed_ = event.time;
  }

  void open(std::string cause, Time time) {
    if (!gap_.empty()) return;
    gap_ = std::move(cause);
    gap_from_ = time;
  }

  /// Only what somebody had to wait out who knew that he was the first in line; or who was in line, behind one that died.
  void entered(const Event& event) {
    const bool knew = first_.id == event.id && first_.since < gap_from_;
    const bool waited = left_.id == event.id && left_.since < gap_from_ && gap_ == "the next in line had died";
    if (!gap_.empty() && (knew || waited)) found_.push_back({gap_, event.time - gap_from_});
    gap_.clear();
  }

  struct Place {
    std::string id;
    Time since{0};
  };
  std::map<std::string, int> clients_;
  std::set<int> dead_;
  std::map<std::string, Time> line_;  // since when
  Place first_;                       // who knows that it is the first
  Place left_;                        // who left it last
  std::string owner_;
  Time owner_until_{0}, changed_{0};
  std::string gap_;  // the cause, while there is one
  Time gap_from_{0};
  std::vector<Gap> found_;
};

struct Worst {
  Time length{0};
  std::string replay;
  int count = 0;
};

/// Of all gaps with that cause.
Worst worst(std::string_view name, std::string_view cause) {
  constexpr std::uint64_t seeds = 150;
  LuaHost lua;
  Worst found;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const Setting setting{.seed = seed, .profile = &profile(name)};
    for (const Gap& gap : Gaps{}.read(simulate(lua, setting).history)) {
      if (gap.cause != cause) continue;
      ++found.count;
      if (gap.length > found.length) found.length = gap.length, found.replay = replay(setting);
    }
  }
  std::cout << found.count << " times " << cause << ": at most "
            << std::chrono::duration<double, std::milli>{found.length}.count() << " ms, see " << found.replay << '\n';
  EXPECT_GE(found.count, 20);
  return found;
}

// A holder dies: the next one is inside right after its lease has ended.
TEST(Bounds, ADeadHolderCostsItsLeaseAndFiftyMilliseconds) {
  const Worst found = worst("dead_holders", "the holder died");
  EXPECT_LE(found.length, 50ms) << found.replay;
}

// The next in line dies, and the server does not know: the one behind it waits for the end of the short lease, and notices
// when it looks the next time.
TEST(Bounds, ADeadWaiterCostsTheClaimAndALook) {
  const Worst found = worst("dead_waiters", "the next in line had died");
  EXPECT_LE(found.length, 1500ms) << found.replay;
}

// Somebody deletes the key: the first in line is told.
TEST(Bounds, ADeletionIsNoticedWithinFiftyMilliseconds) {
  const Worst found = worst("hands", "deleted");
  EXPECT_LE(found.length, 50ms) << found.replay;
}

}  // namespace
}  // namespace redismutex::sim
