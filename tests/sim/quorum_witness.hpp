#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/quorum/quorum_lease.hpp"
#include "histories/checker.hpp"
#include "sim/process.hpp"
#include "sim/profile.hpp"

namespace redismutex::sim {

/// Of a server's clock from the right time.
constexpr Time farthest_skew = std::chrono::seconds{2};

/// Sees that no two rely on a lock of a quorum at the same time, and that its tokens rise; and where nothing goes wrong, that it is never left idle
/// while somebody waits.
class QuorumWitness {
 public:
  explicit QuorumWitness(const Profile& profile) : is_calm_{profile.is_calm()} {}

  void begin_wait(const Process& process, int client, const std::string& key) {
    waiting_[key].emplace(client, process.world_now());
  }
  void end_wait(int client, const std::string& key) { waiting_[key].erase(client); }

  /// One who has entered relies on its lease as long as that is valid by its clock.
  void enter(const Process& process, int client, std::shared_ptr<engine::QuorumLease> lease) {
    const std::string key = lease->key_text();
    look(process, key);
    look_for_idleness(process, key);
    for (const Stay& other : stays_[key]) {
      if (other.is_valid()) found(process, key + ": " + std::to_string(client) + " enters beside " + other.name());
    }
    if (const std::uint64_t token = lease->token(); token != 0) {
      LastToken& last = last_tokens_[key];
      if (token + (last.is_forgotten ? most_ahead : 0) <= last.token) {
        found(process, key + ": the token of " + std::to_string(client) + " does not rise");
      }
      last = {.token = last.is_forgotten ? token : std::max(last.token, token)};
    }
    stays_[key].push_back({&process, client, std::move(lease)});
    ++acquired;
  }

  void leave(const Process& process, int client, const std::string& key) {
    free_since_[key] = process.world_now();
    std::erase_if(stays_[key], [client](const Stay& stay) { return stay.client == client; });
  }

  /// A server was restarted without its data. Of those that knew the last token there may be no majority any more; then the clocks of those
  /// that are asked next decide.
  void note_restart() {
    for (auto& [key, last] : last_tokens_) last.is_forgotten = true;
  }

  /// Whenever something may have changed, such as the end of a lease.
  void look(const Process& process, const std::string& key) {
    const std::vector<Stay>& stays = stays_[key];
    for (std::size_t i = 0; i < stays.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (!stays[i].is_valid() || !stays[j].is_valid()) continue;
        found(process, key + ": " + stays[i].name() + " and " + stays[j].name() + " are inside together");
      }
    }
  }

  void found(const Process& process, std::string text) { violations.push_back({process.world_now(), std::move(text)}); }

  std::vector<histories::Violation> violations;
  std::size_t acquired = 0;
  std::size_t waited = 0;

 private:
  struct LastToken {
    std::uint64_t token = 0;
    bool is_forgotten = false;  // by a server, since
  };

  /// In microseconds: of one server's clock from another's.
  static constexpr auto most_ahead =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(2 * farthest_skew).count());
  static constexpr Time longest_idleness = std::chrono::milliseconds{100};

  void look_for_idleness(const Process& process, const std::string& key) {
    if (!is_calm_ || !stays_[key].empty()) return;
    for (const auto& [client, since] : waiting_[key]) {
      if (process.world_now() - std::max(since, free_since_[key]) <= longest_idleness) continue;
      return found(process, key + ": it was idle while " + std::to_string(client) + " waited");
    }
  }

  struct Stay {
    const Process* process;
    int client;
    std::shared_ptr<engine::QuorumLease> lease;

    /// The dead rely on nothing.
    bool is_valid() const { return process->alive() && process->now() < lease->valid_until(); }
    std::string name() const { return std::to_string(client) + " (" + lease->value() + ")"; }
  };

  const bool is_calm_;
  std::map<std::string, std::vector<Stay>> stays_;
  std::map<std::string, std::map<int, Time>> waiting_;
  std::map<std::string, Time> free_since_;
  std::map<std::string, LastToken> last_tokens_;
};

}  // namespace redismutex::sim
