#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/info.hpp"
#include "protocol/instant.hpp"

namespace redismutex::engine {

/// What the servers of a quorum say of themselves: which server each one is, and since when it runs. Each is asked on each of its
/// connections, because the next one may lead to another server, or to one that was restarted. Thread-safe.
class Roll {
 public:
  /// `grace`: a server that was started less than so long ago has no vote yet; 0: each has.
  Roll(std::size_t servers, std::chrono::milliseconds grace) : grace_{grace}, entries_(servers) {}

  std::chrono::milliseconds grace() const noexcept { return grace_; }

  /// Whether the server has spoken on that connection, or on a later one.
  bool knows(std::size_t server, std::uint64_t link) const noexcept;

  /// What came of asking it for the section `server` of INFO. `now`: when the answer arrived.
  void note(std::size_t server, std::uint64_t link, const protocol::AskInfo::Outcome& said, protocol::Instant now);

  /// It can not be reached: what will be there is unknown.
  void forget(std::size_t server) noexcept;

  /// Two that have said that they are the same server; the first of them by number. One server has one vote.
  std::optional<std::pair<std::size_t, std::size_t>> twins() const noexcept;

  /// Whether it is one of two such.
  bool is_twin(std::size_t server) const noexcept;

  /// From when on its vote counts. Instant::max(): it does not tell since when it runs, and that matters.
  protocol::Instant votes_from(std::size_t server) const noexcept;

  /// Why it does not tell, as a refusal; empty if it does.
  protocol::Refusal refusal(std::size_t server) const;

  /// Once all were given the time to speak.
  bool is_called() const noexcept { return called_; }
  void note_called() noexcept { called_ = true; }

 private:
  struct Entry {
    std::uint64_t link = 0;
    std::string run_id;
    protocol::Instant votes_from = protocol::Instant::min();
    protocol::Refusal refusal;
  };

  bool are_one(std::size_t server, std::size_t other) const noexcept;

  const std::chrono::milliseconds grace_;
  mutable std::mutex mutex_;  // guards the entries
  std::vector<Entry> entries_;
  std::atomic<bool> called_{false};
};

}  // namespace redismutex::engine
