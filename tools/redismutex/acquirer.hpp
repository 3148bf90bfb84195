#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "interruption.hpp"
#include "lock_arguments.hpp"
#include "lock_news.hpp"
#include "lock_servers.hpp"

namespace redismutex::cli {

/// Who wants a lock, as people see it.
struct Wanter {
  std::string purpose;  ///< in the name of the connection, and in front of the usual label: "run/report.sh"
  pid_t process;        ///< in the usual label
};

/// Takes the lock that `run` or `hold` was asked for: at once if it is free, else in line, and through a server's absence. Tells people
/// of the wait.
class Acquirer {
 public:
  struct Means {
    Interruption interruption;
    pid_t group;  ///< that the shell knows: it has the terminal, or has not
  };
  struct Lease {
    std::chrono::milliseconds expiry;
    bool renews;
  };

  /// `arguments` must outlive it. `servers`: what the URLs said.
  Acquirer(const LockArguments& arguments, const Wanter& wanter, const Lease& lease,
           std::vector<ConnectionOptions> servers, Means means);

  /// None if the lock is taken. Throws LockCancelled, with nothing held, if the interruption happened; else as RedisMutex does.
  std::optional<Lock> acquire();

  /// Says that the lock is taken: by whom and since when, if the server tells, and how to break it. Unless they want it quiet. Throws if what
  /// has the key is no lock.
  void say_taken() const;

  const LockNews& news() const noexcept { return *news_; }

 private:
  std::string advice_on(const Inspection& seen) const;
  std::optional<Lock> try_once();
  std::optional<Lock> wait();
  std::optional<Lock> stand_in_line(const std::stop_token& stop) const;

  const LockArguments& arguments_;
  Means means_;
  std::shared_ptr<LockNews> news_;
  LockServers servers_;
  RedisMutex mutex_;
};

}  // namespace redismutex::cli
