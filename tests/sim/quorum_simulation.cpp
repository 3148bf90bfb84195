#include "sim/quorum_simulation.hpp"

#include <algorithm>
#include <deque>
#include <iterator>
#include <list>
#include <string>
#include <utility>

#include "sim/course.hpp"
#include "sim/quorum_process.hpp"
#include "sim/quorum_witness.hpp"
#include "sim/quorum_worker.hpp"
#include "sim/worker.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {
namespace {

using namespace std::chrono_literals;

class QuorumSimulation {
 public:
  QuorumSimulation(LuaHost& lua, const Setting& setting)
      : profile_{*setting.profile},
        fate_{.random = Random{setting.seed}},
        habits_{draw_habits(profile_, fate_.random)} {
    for (int i = 0; i < profile_.servers; ++i) servers_.emplace_back(lua, profile_, fate_, setting.mutant);
  }

  Result run() {
    populate();
    plan_troubles();
    if (!course_.run_until([this] { return is_idle(); })) found("does not come to an end");
    course_.end();
    const Time window = 3 * habits_.delay + 1s;
    fate_.agenda.advance(fate_.agenda.now() + 4 * Time{habits_.expiry} + 3 * window + 120s);
    for (World& server : servers_) {
      for (const std::string& key : server.keys_left()) found("left behind for ever: " + key);
      for (const std::string& complaint : server.complaints()) found("no server would take this: " + complaint);
      for (const std::string& mistake : server.mistakes()) found(mistake);
    }
    return {.violations = std::move(witness_.violations),
            .acquired = witness_.acquired,
            .waited = witness_.waited,
            .history = take_history()};
  }

 private:
  void found(std::string text) { witness_.violations.push_back({fate_.agenda.now(), std::move(text)}); }

  void populate() {
    const auto keys = fate_.random.between(1, profile_.keys);
    for (World& server : servers_) {
      for (std::int64_t i = 0; i < keys; ++i) server.add_key("key" + std::to_string(i));
      server.set_server_clock(fate_.random.between(-farthest_skew, farthest_skew));
    }
    fate_.agenda.advance(2s + Time{grace()});  // all have votes
    for (int i = 0; i < profile_.processes; ++i) add_process();
  }

  /// As long as nobody forgets anything it is of no use.
  std::chrono::milliseconds grace() const { return profile_.restarts > Time{0} ? habits_.expiry : 0ms; }

  void add_process() {
    const int threads = static_cast<int>(fate_.random.between(1, profile_.threads));
    QuorumProcess& process = processes_.emplace_back(servers_, ++last_process_, threads, grace());
    for (int thread = 0; thread < threads; ++thread) {
      process.first().spawn(workers_.emplace_back(process, thread, habits_, witness_).run());
    }
  }

  bool is_idle() const {
    return std::all_of(processes_.begin(), processes_.end(),
                       [](const QuorumProcess& each) { return each.first().idle(); });
  }

  // ---- trouble ------------------------------------------------------------------------------------------------------

  void plan_troubles() {
    course_.every(profile_.process_pauses, [this] { any_process().pause(fate_.random.between(1ms, 5s)); });
    course_.every(profile_.cuts, [this] { any_process().cut(any_server_number()); });
    course_.every(profile_.deaths, [this] { kill(any_process()); });
    course_.every(profile_.script_flushes, [this] { any_server().forget_scripts(); });
    course_.every(profile_.restarts, [this] {
      any_server().restart_server(fate_.random.between(0ms, 1s));
      witness_.note_restart();
    });
    course_.every(profile_.outages, [this] { any_server().isolate_server(fate_.random.between(1ms, 4s)); });
    course_.every(profile_.server_pauses, [this] { any_server().pause_server(fate_.random.between(1ms, 4s)); });
    course_.every(profile_.refused_writes, [this] {
      any_server().refuse_writes("NOREPLICAS Not enough good replicas to write.", fate_.random.between(1ms, 500ms));
    });
  }

  void kill(QuorumProcess& victim) {
    if (!victim.first().alive() || ++deaths_ > profile_.processes) return;
    victim.die(fate_.random.chance(300'000));
    add_process();
  }

  std::size_t any_server_number() { return fate_.random.below(servers_.size()); }
  World& any_server() { return servers_[any_server_number()]; }
  QuorumProcess& any_process() {
    return *std::next(processes_.begin(), static_cast<long>(fate_.random.below(processes_.size())));
  }

  /// Of all servers, in order. What each tells of a key has its number.
  histories::History take_history() {
    histories::History all;
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      for (Event& event : servers_[i].take_history()) {
        if (event.client == 0) event.key.append("@").append(std::to_string(i));
        all.push_back(std::move(event));
      }
    }
    std::stable_sort(all.begin(), all.end(), [](const Event& a, const Event& b) { return a.time < b.time; });
    return all;
  }

  const Profile& profile_;
  Fate fate_;
  Course course_{fate_};
  const Habits habits_;
  std::deque<World> servers_;
  QuorumWitness witness_{profile_};
  std::list<QuorumWorker> workers_;
  std::list<QuorumProcess> processes_;
  int last_process_ = 0;
  int deaths_ = 0;
};

}  // namespace

Result simulate_quorum(LuaHost& lua, const Setting& setting) { return QuorumSimulation{lua, setting}.run(); }

}  // namespace redismutex::sim
