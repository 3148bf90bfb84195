#pragma once

#include <array>
#include <chrono>
#include <string_view>

namespace redismutex::faults {

/// What the driver and its workers have to agree on. Short leases, so that each death costs little; longer than what a busy
/// machine takes to run a thread.
inline constexpr std::chrono::milliseconds expiry{600};
inline constexpr std::chrono::milliseconds block_time{400};
inline constexpr std::chrono::milliseconds delay{60};
inline constexpr std::chrono::milliseconds claim{1000};
inline constexpr std::chrono::milliseconds connect_timeout{300};
inline constexpr std::chrono::milliseconds command_timeout{300};
inline constexpr int clients_a_worker = 2;

/// Two of four workers have an Observer, and see to it that the events which they are told of are in balance. The others have none: a
/// Connection that tells of losses asks the server for more.
constexpr bool is_observed(int client) { return (client - 1) / clients_a_worker % 4 < 2; }

/// The clients of every other worker are coroutines of one loop, those of the rest are threads.
constexpr bool is_asynchronous(int client) { return (client - 1) / clients_a_worker % 2 == 1; }

struct LockKey {
  std::string_view name;
  bool fenced;
};

inline constexpr std::array<LockKey, 4> lock_keys{
    {{"fenced-a", true}, {"fenced-b", true}, {"fenced-c", true}, {"plain", false}}};

}  // namespace redismutex::faults
