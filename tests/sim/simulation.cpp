#include "sim/simulation.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <redismutex/options.hpp>

#include "sim/litter.hpp"
#include "sim/process.hpp"
#include "sim/stranger.hpp"
#include "sim/worker.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr Time longest_run = 2h;

/// Of the server's clock from the right time. The floor of the tokens is kept for longer than twice that.
constexpr Time farthest_step = 10s;
/// Of tokens over the clock, if that is never set back.
constexpr std::chrono::microseconds longest_lead = 5ms;

constexpr int most_steps_at_once = 100'000;

class Simulation {
 public:
  Simulation(LuaHost& lua, const Setting& setting)
      : world_{lua, *setting.profile, setting.seed, setting.mutant}, habits_{draw_habits()} {}

  Result run() {
    populate();
    plan_troubles();
    Result result;
    if (!run_until([this] { return idle(); }, longest_run)) found(result, "does not come to an end");
    over_ = true;
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

  Habits draw_habits() {
    constexpr std::array<milliseconds, 4> expiries{300ms, 1000ms, 3000ms, 7000ms};
    constexpr std::array<milliseconds, 4> delays{30ms, 100ms, 500ms, 2000ms};
    constexpr std::array<Time, 3> stays{200us, 5ms, 250ms};
    Random& random = world_.random;
    if (world_.profile.default_options) {
      return {.expiry = 7s,
              .delay = 500ms,
              .longest_stay = 50ms,
              .longest_think = 50ms,
              .max_waiters = world_.profile.max_waiters};
    }
    if (world_.profile.long_delays) {
      return {.expiry = 7s,
              .delay = 2s,
              .longest_stay = 50ms,
              .longest_think = 50ms,
              .max_waiters = world_.profile.max_waiters};
    }
    const milliseconds drawn = expiries[random.below(expiries.size())];
    const milliseconds expiry = world_.profile.expiry > 0ms ? world_.profile.expiry : drawn;
    return {.expiry = expiry,
            // The public interface accepts none that is longer than the lease.
            .delay = std::min(delays[random.below(delays.size())], expiry / 2),
            .longest_stay = stays[random.below(stays.size())],
            .longest_think = random.between(1ms, 200ms),
            .max_waiters = world_.profile.max_waiters};
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

  template <class Condition>
  bool run_until(Condition condition, Time end) {
    Time at{0};
    int steps = 0;
    while (!condition()) {
      if (!world_.agenda.step(end)) return false;
      steps = world_.now() == at ? steps + 1 : 0;
      at = world_.now();
      if (steps > most_steps_at_once) return false;
    }
    return true;
  }

  // ---- trouble ------------------------------------------------------------------------------------------------------

  void plan_troubles() {
    const Profile& what = world_.profile;
    every(what.process_pauses, [this] {
      any_process().pause(world_.chance(500'000) ? world_.random.between(1ms, 50ms) : world_.random.between(1ms, 5s));
    });
    every(what.cuts, [this] { any_process().cut(); });
    every(what.deaths, [this] { kill(any_process()); });
    every(what.holder_deaths, [this] { kill_client(world_.owner_of(any_key())); });
    every(what.first_deaths, [this] { kill_client(world_.first_in_line_for(any_key())); });
    every(what.script_flushes, [this] { world_.forget_scripts(); });
    every(what.restarts, [this] { world_.restart_server(world_.random.between(0ms, 1s)); });
    every(what.outages, [this] { world_.isolate_server(world_.random.between(1ms, 4s)); });
    every(what.server_pauses, [this] { world_.pause_server(world_.random.between(1ms, 4s)); });
    every(what.failovers, [this] { world_.fail_over(world_.random.between(0ms, 500ms)); });
    every(what.deletions, [this] {
      if (world_.chance(200'000)) return world_.delete_all_by_hand();
      world_.delete_by_hand(any_key());
    });
    every(what.memory_shortages, [this] { world_.fill_up(world_.random.between(1ms, 1s)); });
    every(what.refused_writes, [this] { world_.refuse_writes(any_refusal(), world_.random.between(1ms, 500ms)); });
    every(what.role_changes,
          [this] { world_.switch_roles(world_.random.between(1ms, 300ms), world_.random.between(1ms, 12s)); });
    every(what.litter, [this] { litter(world_, any_key()); });
    every(what.clock_steps, [this] { world_.set_server_clock(world_.random.between(-farthest_step, farthest_step)); });
  }

  void every(Time mean, const std::function<void()>& trouble) {
    if (mean == Time{0}) return;
    world_.agenda.after(world_.random.between(Time{0}, 2 * mean), [this, mean, trouble] {
      if (over_) return;
      trouble();
      every(mean, trouble);
    });
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

  World world_;
  const Habits habits_;
  std::list<Worker> workers_;
  std::list<Stranger> strangers_;
  std::list<Process> processes_;
  int last_process_ = 0;
  int deaths_ = 0;
  bool over_ = false;
};

}  // namespace

Result simulate(LuaHost& lua, const Setting& setting) { return Simulation{lua, setting}.run(); }

std::string replay(const Setting& setting) {
  namespace fs = std::filesystem;
  const fs::path program = fs::read_symlink("/proc/self/exe").replace_filename("redismutex_sim");
  std::string command = fs::proximate(program).string() + " replay " + std::string{setting.profile->name} + " " +
                        std::to_string(setting.seed);
  if (setting.mutant != Mutant::none) command += std::string{" "} + name(setting.mutant);
  return command;
}

}  // namespace redismutex::sim
