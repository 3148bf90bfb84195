#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <redismutex/observer.hpp>
#include <redismutex/options.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "api/report.hpp"
#include "engine/acquisition.hpp"
#include "engine/approach.hpp"
#include "engine/quorum/quorum_acquisition.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"

namespace redismutex::api {

class Runtime;

/// One attempt to get a lock, whoever drives it: what is wished for, and what the Observer and the caller are told of it.
class Attempt {
 public:
  using Outcome = AttemptEnded::Outcome;

  /// Begins now. All must outlive it but the key. `server`: what people call what the lock is at. Without a limit: one try. Throws
  /// std::invalid_argument for a bad key.
  Attempt(Runtime& runtime, const std::string& server, std::string_view key, const Options& options,
          std::optional<std::chrono::milliseconds> limit);

  const protocol::Key& key() const noexcept { return key_; }

  /// `on_wait`: see there.
  engine::Wishes wishes(std::function<void()> on_wait) const;

  /// None: it is taken. Throws for all else, but a grant.
  template <class Acquisition>
  std::optional<typename Acquisition::Granted> take_in(Acquisition& acquisition) {
    typename Acquisition::Outcome outcome = acquisition.take_outcome();
    claims_lost_ = acquisition.claims_lost();
    if (auto* granted = std::get_if<typename Acquisition::Granted>(&outcome)) {
      tell(*granted);
      return std::move(*granted);
    }
    if (const auto* failure = std::get_if<route::Failure>(&outcome)) raise(*failure);
    if (const auto* refusal = std::get_if<protocol::Refusal>(&outcome)) raise(*refusal);
    if (std::holds_alternative<typename Acquisition::Full>(outcome)) raise_full();
    tell(limit_ ? Outcome::timed_out : Outcome::taken);
    return std::nullopt;
  }

  [[noreturn]] void raise(const route::Failure& failure) const;

  /// It begins to wait. Returns whether tell_wait() is to follow: not if it is over, as it may be where no thread waits.
  bool note_wait() const noexcept {
    Progress before = Progress::begun;
    return progress_.compare_exchange_strong(before, Progress::waiting);
  }

  /// `id`: under which it stands at the server; empty: it does not.
  void tell_wait(std::string_view id) const noexcept;

  /// It is over, and nobody calls take_in() or raise().
  void tell(Outcome outcome) const noexcept { tell(outcome, std::nullopt); }

  /// The message for a lock that is taken.
  std::string taken() const;

 private:
  enum class Progress { begun, waiting, over };

  void tell(const engine::Acquisition::Granted& granted) const noexcept;
  void tell(const engine::QuorumAcquisition::Granted& granted) const noexcept;
  void tell(Outcome outcome, std::optional<protocol::Instant> handed_at) const noexcept;
  [[noreturn]] void raise(const protocol::Refusal& refusal) const;
  [[noreturn]] void raise_full() const;
  report::Action action() const { return {"acquire", key_}; }
  std::string cannot(std::string_view why) const;
  AboutLock about() const noexcept { return {.mutex = options_.name, .key = key_.text()}; }

  Runtime& runtime_;
  const std::string& server_;
  const protocol::Key key_;
  const Options& options_;
  const std::optional<std::chrono::milliseconds> limit_;
  const protocol::Instant began_;
  std::size_t claims_lost_ = 0;
  mutable std::atomic<Progress> progress_{Progress::begun};
};

}  // namespace redismutex::api
