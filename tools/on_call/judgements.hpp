#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "redis_cli.hpp"
#include "server_facts.hpp"

/// What the doctor thinks of what a server said. Asks nothing: all of it can be tried with replies that were recorded.
namespace redismutex::cli {

enum class Level { good, warning, critical };

/// What a check of the server has found.
struct Finding {
  std::string check;
  Level level = Level::good;
  std::string text;
  std::string remedy{};  ///< a command to paste, or what else helps; empty if nothing has to be done
  std::string server{};  ///< of a cluster: "db1:6379"; of a quorum: its URL; empty: it is about all that was examined
};
using Findings = std::vector<Finding>;

/// What 100 pings took; and how long this machine let us stand still meanwhile, though we wanted to run.
struct Latency {
  std::chrono::nanoseconds shortest{0};
  std::chrono::nanoseconds middle{0};
  std::chrono::nanoseconds longest{0};
  std::chrono::nanoseconds intrinsic{0};
};

/// "0.05 ms".
std::string milliseconds_text(std::chrono::nanoseconds duration);

Findings judge_version(const ServerFacts& facts);
Findings judge_role(const ServerFacts& facts);

/// Of a server of a cluster that was reached as one: what it answered to CLUSTER INFO.
Findings judge_cluster(const std::string& cluster_info, const Way& way);

/// Of a server that was reached as a single one. `address`: where, as in a URL.
Findings judge_single(const ServerFacts& facts, const std::string& address);

Findings judge_latency(const Latency& latency, const Way& way);

/// Of what the server says about its own standstills.
Findings judge_stalls(const ServerFacts& facts);

/// `offset`: by how much the server's clock is ahead of ours, give or take `uncertainty`.
Findings judge_clock(std::chrono::nanoseconds offset, std::chrono::nanoseconds uncertainty);

Findings judge_memory(const ServerFacts& facts, const Way& way);
Findings judge_persistence(const ServerFacts& facts, const Way& way);

/// How many there are, whether anybody waits for them, and how far they are behind.
Findings judge_replicas(const ServerFacts& facts, const Way& way);

Findings judge_clients(const ServerFacts& facts, const Way& way);

/// `pattern_subscribers`: how many clients use PSUBSCRIBE; none: unknown.
Findings judge_waking(const ServerFacts& facts, std::optional<long long> pattern_subscribers, const Way& way);

/// One of the replicas, as its primary sees it.
struct Replica {
  std::string address;
  std::string state;           ///< "online" when it follows
  long long lag = 0;           ///< seconds since it last said how far it is; -1: it has not
  long long bytes_behind = 0;  ///< of what the primary wrote
};
std::vector<Replica> replicas_of(const ServerFacts& facts);

}  // namespace redismutex::cli
