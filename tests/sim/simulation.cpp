#include "sim/simulation.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <redismutex/options.hpp>

#include "sim/course.hpp"
#include "sim/litter.hpp"
#include "sim/process.hpp"
#include "sim/quorum_simulation.hpp"
#include "sim/stranger.hpp"
#include "sim/worker.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// Of the server's clock from the right time. The floor of the tokens is kept for longer than twice that.
constexpr Time farthest_step = 10s;
/// Of tokens over the clock, if that is never set back.
constexpr std::chrono::microseconds longest_lead = 5ms;

class Simulation {
 public:
  Simulation(LuaHost& lua, const Setting& setting)
      : fate_{.random = Random{setting.seed}},
        world_{lua, *setting.profile, fate_, setting.mutant},
        habits_{draw_habits(*setting.profile, fate_.random)} {}

  Result run() {
    populate();
    plan_troubles();
    Result result;
    if (!course_.run_until([this] { return idle(); })) found(result, "does not come to an end");
    course_.end();
    // Whatever somebody left behind unintentionally has gone by then.
    const Time window = 3 * habits_.delay + 1s;
    const Time settled = world_.now() + 4 * Time{habits_.expiry} + 3 * window + 60s + 2 * farthest_step;
    world_.agenda.advance(settled);
    for (const std::string& key : world_.keys_left()) found(result, "left behind for ever: " + key);
    for (const std::string& complaint : world_.complaints()) {
      found(result, "no server would take this: " + complaint);
    }
    for (const std::string& mistake : world_.mistakes()) found(result, mistake);
    if (world_.profile.clock_steps == Time{0} && world_.farthest_floor() > longest_lead) {
      found(result, "tokens run ahead of the clock, by us: " + std::to_string(world_.farthest_floor().count()));
    }
    const Server::Conduct& conduct = world_.conduct();
    const bool has_mailboxes = !conduct.refuses_channels;
    const bool woken = has_mailboxes && !conduct.refuses_publishing;
    const Time delay = Time{habits_.delay} * 102 / 100;  // by the slowest clock
    const Time message = world_.profile.latency + 100us;
    const histories::Bounds bounds{
        .message = message,
        // A look at the key may have to be answered first, and a question in the queue's terms follow.
        .news = 5 * message + (woken ? Time{0} : delay),
        // Where nobody may publish, a waiter that is held up stops the line for its window. Meanwhile the next one may be held up, too.
        .idle = 4 * message + delay + (woken ? Time{0} : 2 * window),
        .delay = delay,
        .claim = has_mailboxes ? Time{1s} : window,
        .lease = habits_.expiry,
        .expiry = 2 * habits_.expiry,
        .waiters = habits_.max_waiters,
        .watches = !conduct.refuses_tracking,
        .tidy = world_.profile.litter == Time{0},
        .tells_first = woken};
    result.history = world_.take_history();
    for (const Event& event : result.history) check_refusal(event, result);
    histories::Verdict verdict = check(result.history, bounds);
    for (histories::Violation& violation : verdict.violations) result.violations.push_back(std::move(violation));
    result.acquired = verdict.acquired;
    result.waited = verdict.waited;
    return result;
  }

 private:
  void found(Result& result, std::string text) const { result.violations.push_back({world_.now(), std::move(text)}); }

  /// Whatever stands at the server: nobody is refused for another reason than that the server takes no writes, or that it
  /// forgets all scripts again and again.
  void check_refusal(const Event& event, Result& result) const {
    constexpr std::string_view refused = "refused-";
    std::string_view code;
    if (event.kind == Event::Kind::unclear) code = event.note;
    if (event.kind == Event::Kind::ended && event.note.starts_with(refused)) {
      code = std::string_view{event.note}.substr(refused.size());
    }
    constexpr std::array<std::string_view, 5> good{"OOM", "NOREPLICAS", "MISCONF", "READONLY", "NOSCRIPT"};
    if (!code.empty() && std::find(good.begin(), good.end(), code) == good.end()) {
      result.violations.push_back({event.time, "refused for no good reason: " + std::string{code} + " " + event.id});
    }
  }

  void populate() {
    const auto keys = world_.profile.own_keys ? world_.profile.keys : world_.random.between(1, world_.profile.keys);
    for (std::int64_t i = 0; i < keys; ++i) world_.add_key("key" + std::to_string(i));
    for (int i = 0; i < world_.profile.processes; ++i) add_process();
    for (int i = 0; i < world_.profile.strangers; ++i) {
      Process& process = processes_.emplace_back(world_, ++last_process_, 1);
      process.spawn(strangers_.emplace_back(process, habits_).run());
    }
  }

  void add_process() {
    const int most = world_.profile.threads;
    const int threads = static_cast<int>(world_.random.between(world_.profile.own_keys ? most : 1, most));
    Process& process = processes_.emplace_back(world_, ++last_process_, threads);
    for (int thread = 0; thread < threads; ++thread) {
      process.spawn(workers_.emplace_back(process, thread, habits_).run());
    }
  }

  bool idle() const {
    return std::all_of(processes_.begin(), processes_.end(), [](const Process& each) { return each.idle(); });
  }

  // ---- trouble ------------------------------------------------------------------------------------------------------

  void plan_troubles() {
    const Profile& what = world_.profile;
    course_.every(what.process_pauses, [this] {
      any_process().pause(world_.chance(500'000) ? world_.random.between(1ms, 50ms) : world_.random.between(1ms, 5s));
    });
    course_.every(what.cuts, [this] { any_process().cut(); });
    course_.every(what.deaths, [this] { kill(any_process()); });
    course_.every(what.holder_deaths, [this] { kill_client(world_.owner_of(any_key())); });
    course_.every(what.first_deaths, [this] { kill_client(world_.first_in_line_for(any_key())); });
    course_.every(what.script_flushes, [this] { world_.forget_scripts(); });
    course_.every(what.restarts, [this] { world_.restart_server(world_.random.between(0ms, 1s)); });
    course_.every(what.outages, [this] { world_.isolate_server(world_.random.between(1ms, 4s)); });
    course_.every(what.server_pauses, [this] { world_.pause_server(world_.random.between(1ms, 4s)); });
    course_.every(what.failovers, [this] { world_.fail_over(world_.random.between(0ms, 500ms)); });
    course_.every(what.deletions, [this] {
      if (world_.chance(200'000)) return world_.delete_all_by_hand();
      world_.delete_by_hand(any_key());
    });
    course_.every(what.memory_shortages, [this] { world_.fill_up(world_.random.between(1ms, 1s)); });
    course_.every(what.refused_writes,
                  [this] { world_.refuse_writes(any_refusal(), world_.random.between(1ms, 500ms)); });
    course_.every(what.role_changes,
                  [this] { world_.switch_roles(world_.random.between(1ms, 300ms), world_.random.between(1ms, 12s)); });
    course_.every(what.litter, [this] { litter(world_, any_key()); });
    course_.every(what.clock_steps,
                  [this] { world_.set_server_clock(world_.random.between(-farthest_step, farthest_step)); });
  }

  void kill(Process& victim) {
    if (!victim.alive() || ++deaths_ > world_.profile.processes) return;
    victim.die(world_.chance(300'000));
    add_process();
  }

  void kill_client(int client) {
    for (Process& process : processes_) {
      if (client != 0 && process.number() == histories::process_of(client)) return kill(process);
    }
  }

  std::string any_refusal() {
    static const std::array<const char*, 3> refusals{"NOREPLICAS Not enough good replicas to write.",
                                                     "MISCONF Redis is configured to save RDB snapshots, but can't.",
                                                     "READONLY You can't write against a read only replica."};
    return refusals[world_.random.below(refusals.size())];
  }

  const protocol::Key& any_key() { return world_.keys()[world_.random.below(world_.keys().size())]; }

  Process& any_process() {
    return *std::next(processes_.begin(), static_cast<long>(world_.random.below(processes_.size())));
  }

  Fate fate_;
  World world_;
  Course course_{fate_};
  const Habits habits_;
  std::list<Worker> workers_;
  std::list<Stranger> strangers_;
  std::list<Process> processes_;
  int last_process_ = 0;
  int deaths_ = 0;
};

}  // namespace

Result simulate(LuaHost& lua, const Setting& setting) {
  return setting.profile->servers > 1 ? simulate_quorum(lua, setting) : Simulation{lua, setting}.run();
}

std::string replay(const Setting& setting) {
  namespace fs = std::filesystem;
  const fs::path program = fs::read_symlink("/proc/self/exe").replace_filename("redismutex_sim");
  std::string command = fs::proximate(program).string() + " replay " + std::string{setting.profile->name} + " " +
                        std::to_string(setting.seed);
  if (setting.mutant != Mutant::none) command += std::string{" "} + name(setting.mutant);
  return command;
}

}  // namespace redismutex::sim
