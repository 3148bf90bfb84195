#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "faults/arena.hpp"
#include "faults/troubles.hpp"
#include "histories/checker.hpp"

namespace redismutex::faults {

/// What may happen in a trial.
struct Profile {
  std::string_view name;
  Route route = Route::direct;
  bool replica = false;
  bool sentinels = false;
  bool cluster = false;
  bool own_clock = false;
  std::vector<const std::vector<Trouble>*> troubles = {};
  int long_stays = 4;                           ///< of a thousand stays, so many are longer than a lease
  std::chrono::milliseconds longest_calm{500};  ///< between two of them
};

const std::vector<Profile>& profiles();

/// Throws std::invalid_argument for a name that none has.
const Profile& profile(std::string_view name);

struct Setting {
  std::uint64_t seed = 0;
  const Profile* profile = nullptr;
  std::chrono::milliseconds length{5000};
  std::string worker;  ///< the program
  int hurrying = 1;    ///< threads of some workers, see hurry.hpp
};

struct Result {
  std::vector<histories::Violation> violations;
  std::uint64_t balanced = 0;  ///< attempts, of which all that the Observer was told was in balance
  std::size_t grants = 0;
  std::size_t refused = 0;                    ///< writes that a resource refused, rightly or not
  std::map<std::string, int> troubles;        ///< how often each was provoked
  std::chrono::nanoseconds longest_gap{0};    ///< see histories::Verdict
  std::chrono::nanoseconds longest_stall{0};  ///< of the machine
  histories::History history;
};

/// Processes take locks from a real server and use them, and one fault after another, drawn by the seed, strikes them, the server,
/// or the network; then all that they wrote down is checked. The same seed gives the same faults, but not the same run.
Result try_out(const Setting& setting);

/// The command that does it again.
std::string replay(const Setting& setting);

}  // namespace redismutex::faults
