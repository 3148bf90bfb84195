#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "sim/simulation.hpp"

// The simulator is itself tested: with each of these mistakes built in, a few seeds show it. A mistake that is not found is a
// hole in the profiles or in the checker.
namespace redismutex::sim {
namespace {

struct Hidden {
  Mutant mutant;
  const char* profile = nullptr;  ///< the only one in which it is likely to do harm
};

void PrintTo(const Hidden& hidden, std::ostream* out) { *out << name(hidden.mutant); }

class Mutants : public ::testing::TestWithParam<Hidden> {};

TEST_P(Mutants, AreFound) {
  constexpr std::uint64_t most_seeds = 300;
  LuaHost lua;
  for (std::uint64_t seed = 0; seed < most_seeds; ++seed) {
    const auto [mutant, name] = GetParam();
    const Profile& where = name == nullptr ? profile(seed) : profile(std::string_view{name});
    const Setting setting{.seed = seed, .profile = &where, .mutant = mutant};
    const Result result = simulate(lua, setting);
    if (result.violations.empty()) continue;
    std::cout << "found by seed " << seed << " (" << where.name << "): " << result.violations.front() << '\n';
    return;
  }
  FAIL() << "not found by " << most_seeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(
    All, Mutants,
    ::testing::Values(Hidden{Mutant::renewal_may_shorten}, Hidden{Mutant::release_without_comparing},
                      Hidden{Mutant::extend_without_comparing, "deletions"}, Hidden{Mutant::hands_over_full_lease},
                      Hidden{Mutant::tells_no_loss, "deletions"}, Hidden{Mutant::ignores_liveness},
                      Hidden{Mutant::ignores_receivers}, Hidden{Mutant::ignores_limit},
                      Hidden{Mutant::counts_the_dead, "limited"}, Hidden{Mutant::last_in_first_out},
                      Hidden{Mutant::enqueues_every_time}, Hidden{Mutant::needs_memory_first, "full"},
                      Hidden{Mutant::cancel_keeps_grant}, Hidden{Mutant::tells_before_a_write},
                      Hidden{Mutant::tells_without_asking, "roles"}, Hidden{Mutant::tells_no_first, "patient"},
                      Hidden{Mutant::never_puts_back, "mute"}, Hidden{Mutant::leaves_the_life},
                      Hidden{Mutant::leaves_the_place}, Hidden{Mutant::leaves_the_dead, "untidy"},
                      Hidden{Mutant::leaves_the_old_place, "cuts"}, Hidden{Mutant::moves_to_the_end, "cuts"},
                      Hidden{Mutant::keeps_many_absent, "untidy"}, Hidden{Mutant::frees_instead_of_more, "untidy"},
                      Hidden{Mutant::renews_no_place}, Hidden{Mutant::refreshes_nothing},
                      Hidden{Mutant::keeps_wrong_types, "untidy"}, Hidden{Mutant::drops_newer_versions, "untidy"},
                      Hidden{Mutant::line_stays_for_ever}, Hidden{Mutant::hands_over_for_ever},
                      Hidden{Mutant::tokens_by_increment}, Hidden{Mutant::tokens_by_clock, "clock"},
                      Hidden{Mutant::forgets_the_givers_token, "clock"},
                      Hidden{Mutant::forgets_the_heirs_floor, "clock"}, Hidden{Mutant::forgets_tokens_ahead, "clock"},
                      Hidden{Mutant::floor_goes_at_once, "clock"}, Hidden{Mutant::floor_stays_for_ever}),
    [](const auto& hidden) { return std::string{name(hidden.param.mutant)}; });

// ---- of the engine: see mutants.cmake ---------------------------------------------------------------------------------

struct Built {
  std::string name;
  std::string profile = {};  ///< as above
};

void PrintTo(const Built& built, std::ostream* out) { *out << built.name; }

class EngineMutants : public ::testing::TestWithParam<Built> {};

TEST_P(EngineMutants, AreFound) {
  const auto& [name, where] = GetParam();
  const std::string program = std::string{REDISMUTEX_SIM_MUTANTS} + "/" + name;
  const int status = std::system((program + " find 300 " + where).c_str());
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE) << status;
}

INSTANTIATE_TEST_SUITE_P(
    All, EngineMutants,
    ::testing::Values(Built{"lease_from_reply"}, Built{"never_extends_claim"}, Built{"never_cleans_up"},
                      Built{"counts_tokens_ahead", "threads_clock"}, Built{"grant_from_arrival"}, Built{"no_refresh"},
                      Built{"subscribes_late"}, Built{"never_watches", "deletions"}, Built{"repeats_as_another"},
                      Built{"takes_no_floor", "clock"}, Built{"gives_up_the_place", "impatient"},
                      Built{"passes_for_too_long", "impatient"}, Built{"passes_too_often", "impatient"},
                      Built{"row_begins_anew", "impatient"}, Built{"passes_what_is_unknown", "threads_untracked"},
                      Built{"passes_next_to_nothing", "threads"}, Built{"drops_late_passes", "drowsy"},
                      Built{"renews_one_after_another", "many"}, Built{"hurries_with_the_weakest", "many"},
                      Built{"takes_unsent_for_unknown", "outages"}, Built{"reuses_dead_ids", "quorum_faults"},
                      Built{"raises_no_floors", "quorum_faults"}, Built{"trusts_the_newly_started", "quorum_restarts"},
                      Built{"counts_a_minority", "quorum_faults"}, Built{"keeps_votes_for_ever", "quorum_crowd"},
                      Built{"never_extends_claim", "quorum"}, Built{"wakes_nobody", "calm_coroutines"}),
    [](const auto& built) {
      const Built& mutant = built.param;
      return mutant.profile.empty() ? mutant.name : mutant.name + "_in_" + mutant.profile;
    });

}  // namespace
}  // namespace redismutex::sim
