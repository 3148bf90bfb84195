#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <redismutex/options.hpp>
#include <string>
#include <string_view>

#include "shared/embedded_place.hpp"
#include "shared/exit_status.hpp"
#include "shared/url_source.hpp"

namespace redismutex::cli {

/// See Options::label.
inline constexpr std::size_t longest_label = 512;

/// Which lock is wanted, and how: what the users of `run` and of `hold` say in the same words.
struct LockArguments {
  NamedUrls servers;                               // embedded_url, or as for Connection; several are a quorum's
  std::optional<std::chrono::milliseconds> grace;  // of a quorum: see QuorumOptions
  std::optional<std::chrono::milliseconds> wait;   // nothing: for ever; 0: one attempt
  std::optional<std::chrono::milliseconds>
      patience;  // so long the server may be away during the wait; nothing: all of it
  std::chrono::milliseconds expiry = std::chrono::seconds{7};  // of a lock that is renewed
  Replicas replicas;                                           // that have to have received it
  std::string label;                                           // what people see of the holder; empty: the usual
  int conflict_status = exit_status::not_acquired;             // of a lock that stays taken
  bool quiet = false;
  bool verbose = false;
  std::string key;
};

/// The exit status of an invocation that needs nothing done: help was printed, or what is wrong with the arguments.
using Finished = int;

}  // namespace redismutex::cli
