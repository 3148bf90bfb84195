#include "faults/trial.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "faults/setting.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;
using histories::Event;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

std::vector<const Trouble*> troubles_in(const Profile& profile) {
  std::vector<const Trouble*> all;
  for (const std::vector<Trouble>* group : profile.troubles) {
    for (const Trouble& trouble : *group) all.push_back(&trouble);
  }
  return all;
}

/// One after another, in an order of the seed's; no trouble comes again before all others have.
class Troublemaker {
 public:
  Troublemaker(const Profile& profile, sim::Random random) : all_{troubles_in(profile)}, random_{random} {}

  const Trouble& next() {
    if (position_ == 0) {
      for (std::size_t i = all_.size(); i > 1; --i) std::swap(all_[i - 1], all_[random_.below(i)]);
    }
    const Trouble& trouble = *all_[position_];
    position_ = (position_ + 1) % all_.size();
    return trouble;
  }

 private:
  std::vector<const Trouble*> all_;
  sim::Random random_;
  std::size_t position_ = 0;
};

histories::Bounds bounds_for(nanoseconds stall) {
  return {.message = 150ms,
          .news = 5s,
          .idle = 5s,
          .delay = delay,
          .claim = claim,
          .lease = expiry,
          .expiry = expiry,
          .waiters = 1000,
          // How late a thread may be: this machine may have more to do.
          .timers = 300ms + 3 * stall,
          .gaps = true};
}

}  // namespace

const std::vector<Profile>& profiles() {
  static const std::vector<Profile> all{
      {.name = "processes", .troubles = {&troubles_of_workers}},
      {.name = "server", .troubles = {&troubles_of_servers}},
      {.name = "network",
       .route = Route::proxied,
       .troubles = {&troubles_of_proxies, &late_messages},
       .long_stays = 12},
      {.name = "partitions", .route = Route::cabled, .troubles = {&troubles_of_cables}},
      {.name = "everything",
       .route = Route::proxied,
       .troubles = {&troubles_of_workers, &troubles_of_servers, &troubles_of_proxies, &late_messages}},
      {.name = "disasters", .troubles = {&disasters}},
      {.name = "failover", .replica = true, .troubles = {&failovers}, .longest_calm = 3s},
      {.name = "sentinel", .sentinels = true, .troubles = {&depositions}, .longest_calm = 3s},
      {.name = "cluster", .cluster = true, .troubles = {&depositions}, .longest_calm = 3s},
      {.name = "resharding", .cluster = true, .troubles = {&migrations}},
      {.name = "clock", .own_clock = true, .troubles = {&clock_steps}},
  };
  return all;
}

const Profile& profile(std::string_view name) {
  for (const Profile& each : profiles()) {
    if (each.name == name) return each;
  }
  throw std::invalid_argument{"no profile is called " + std::string{name}};
}

Result try_out(const Setting& setting) {
  const Profile& profile = *setting.profile;
  Arena arena{{.route = profile.route,
               .replica = profile.replica,
               .sentinels = profile.sentinels,
               .cluster = profile.cluster,
               .own_clock = profile.own_clock,
               .long_stays = profile.long_stays,
               .worker = setting.worker,
               .hurrying = setting.hurrying,
               .seed = setting.seed}};
  Troublemaker troublemaker{profile, arena.random.fork()};
  Result result;
  const nanoseconds end = arena.now() + setting.length;
  arena.wait(100ms);
  while (arena.now() < end) {
    const Trouble& trouble = troublemaker.next();
    ++result.troubles[std::string{trouble.name}];
    trouble.provoke(arena);
    arena.wait_between(profile.longest_calm / 10, profile.longest_calm);
  }
  Arena::Outcome outcome = arena.conclude();
  const nanoseconds ended = arena.now();
  for (const Event& event : outcome.history) result.refused += event.kind == Event::Kind::denied ? 1U : 0U;
  result.balanced = outcome.balanced;
  result.longest_stall = outcome.longest_stall;
  result.history = outcome.history;
  histories::Verdict verdict = check(std::move(outcome.history), bounds_for(outcome.longest_stall));
  result.grants = verdict.acquired;
  result.longest_gap = verdict.longest_gap;
  result.violations = std::move(verdict.violations);
  for (std::string& text : outcome.violations) result.violations.push_back({ended, std::move(text)});
  if (result.grants == 0) result.violations.push_back({ended, "nobody was ever inside"});
  return result;
}

std::string replay(const Setting& setting) {
  return "faults_soak --profile " + std::string{setting.profile->name} + " --seed " + std::to_string(setting.seed) +
         " --seconds " + std::to_string(setting.length / 1s) + " --hurrying " + std::to_string(setting.hurrying) +
         " --worker " + setting.worker;
}

}  // namespace redismutex::faults
