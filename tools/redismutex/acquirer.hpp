#pragma once

#include <memory>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <string>

#include "arguments.hpp"
#include "lease_timing.hpp"
#include "lock_news.hpp"
#include "notes.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// Takes the lock that `redismutex run` was asked for: at once if it is free, else in line, and through a server's absence.
class Acquirer {
 public:
  struct Means {
    NoteSocket& watcher;
    SignalReader& signals;
    pid_t group;  // that the shell knows: it has the terminal, or has not
  };

  Acquirer(Means means, const RunArguments& arguments, ConnectionOptions server);

  /// None if the lock is taken. Throws EndedBySignal, with nothing held, if a signal asked for the end; else as RedisMutex does.
  std::optional<Lock> acquire();

  /// What is known of the lock that is taken, for people.
  std::string taken() const;

  const LockNews& news() const noexcept { return *news_; }

 private:
  std::optional<Lock> try_once();
  std::optional<Lock> wait();

  Means means_;
  const RunArguments& arguments_;
  LeaseTiming timing_;
  std::shared_ptr<LockNews> news_ = std::make_shared<LockNews>();
  Connection connection_;
  RedisMutex mutex_;
};

}  // namespace redismutex::cli
