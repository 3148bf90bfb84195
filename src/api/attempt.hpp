#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <redismutex/observer.hpp>
#include <redismutex/options.hpp>
#include <string>
#include <string_view>

#include "api/report.hpp"
#include "engine/acquisition.hpp"
#include "engine/approach.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"

namespace redismutex::api {

class Runtime;

/// One attempt to get a lock, whoever drives it: what is wished for, and what the Observer and the caller are told of it.
class Attempt {
 public:
  using Outcome = AttemptEnded::Outcome;

  /// Begins now. All must outlive it but the key. Without a limit: one try. Throws std::invalid_argument for a bad key.
  Attempt(Runtime& runtime, std::string_view key, const Options& options,
          std::optional<std::chrono::milliseconds> limit);

  const protocol::Key& key() const noexcept { return key_; }

  /// `on_wait`: see there.
  engine::Wishes wishes(std::function<void()> on_wait) const;

  /// None: it is taken. Throws for all else, but a grant.
  std::optional<engine::Acquisition::Granted> take_in(engine::Acquisition::Outcome outcome) const;

  [[noreturn]] void raise(const route::Failure& failure) const;

  /// `id`: under which it stands at the server; empty: it does not.
  void tell_wait(std::string_view id) const noexcept;

  /// It is over, and nobody calls take_in() or raise().
  void tell(Outcome outcome) const noexcept;

  /// The message for a lock that is taken.
  std::string taken() const;

 private:
  report::Action action() const { return {"acquire", key_}; }
  std::string cannot(std::string_view why) const;
  AboutLock about() const noexcept { return {.mutex = options_.name, .key = key_.text()}; }

  Runtime& runtime_;
  const protocol::Key key_;
  const Options& options_;
  const std::optional<std::chrono::milliseconds> limit_;
  const protocol::Instant began_;
};

}  // namespace redismutex::api
