#include "judgements.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// Of the hard limit in "normal 0 0 0 slave ... pubsub 33554432 8388608 60".
long long pubsub_limit(const std::string& limits) {
  std::istringstream words{limits};
  for (std::string word; words >> word;) {
    long long limit = 0;
    if (word == "pubsub" && words >> limit) return limit;
  }
  return 0;
}

/// "ip=10.0.0.2,port=6379,state=online,offset=1234,lag=1".
std::map<std::string, std::string> fields_of(const std::string& text) {
  std::map<std::string, std::string> fields;
  std::istringstream parts{text};
  for (std::string part; std::getline(parts, part, ',');) {
    const auto equals = part.find('=');
    if (equals != std::string::npos) fields[part.substr(0, equals)] = part.substr(equals + 1);
  }
  return fields;
}

std::string text_of(const Replica& replica) {
  if (replica.state != "online") return replica.address + " is not in step yet (" + replica.state + ")";
  if (replica.lag < 0) return replica.address + " does not say how far it is";
  return replica.address + " was heard " + std::to_string(replica.lag) + " s ago, " +
         std::to_string(replica.bytes_behind) + " bytes behind";
}

bool is_behind(const Replica& replica) {
  constexpr long long many_seconds = 5;  // it reports each second
  constexpr long long many_bytes = 1024 * 1024;
  return replica.state != "online" || replica.lag < 0 || replica.lag > many_seconds ||
         replica.bytes_behind > many_bytes;
}

}  // namespace

std::string milliseconds_text(nanoseconds duration) {
  std::ostringstream text;
  text.precision(3);
  text << std::chrono::duration<double, std::milli>{duration}.count() << " ms";
  return text.str();
}

Findings judge_version(const ServerFacts& facts) {
  const auto version = facts.version();
  if (version.major >= 6) return {{"version", Level::good, facts.product() + " " + version.text}};
  return {{"version", Level::critical, facts.product() + " " + version.text,
           "upgrade to Redis 6.0 or newer, or any Valkey"}};
}

Findings judge_role(const ServerFacts& facts) {
  const auto role = facts.info("role");
  if (role != "slave") return {{"role", Level::good, role == "master" ? "primary" : role}};
  return {{"role", Level::critical, "it is a replica: locks can not be taken here",
           "use its primary: --url redis://" + facts.info("master_host") + ":" + facts.info("master_port")}};
}

Findings judge_cluster(const std::string& cluster_info, const Way& way) {
  const auto field = [&cluster_info](const std::string& name) {
    const auto at = cluster_info.find(name + ':');
    if (at == std::string::npos) return std::string{};
    const auto begin = at + name.size() + 1;
    return cluster_info.substr(begin, cluster_info.find_first_of("\r\n", begin) - begin);
  };
  const std::string state = field("cluster_state");
  if (state.empty()) return {};
  const std::string text = state + ", " + field("cluster_slots_ok") + " of 16384 slots are served";
  if (state == "ok") return {{"cluster", Level::good, text}};
  return {{"cluster", Level::critical, text + ": locks in other slots can not be taken, and perhaps none at all",
           way.command("CLUSTER NODES")}};
}

Findings judge_single(const ServerFacts& facts, const std::string& address) {
  if (facts.info("cluster_enabled") != "1") return {};
  return {{"cluster", Level::critical, "it is one server of a cluster, which refuses the locks that are at another one",
           "name it as that: --url redis+cluster://" + address}};
}

Findings judge_latency(const Latency& latency, const Way& way) {
  constexpr auto much = 10ms;
  constexpr auto very_much = 100ms;
  const std::string text = "100 pings: shortest " + milliseconds_text(latency.shortest) + ", middle " +
                           milliseconds_text(latency.middle) + ", longest " + milliseconds_text(latency.longest) +
                           "; this machine alone stands still for " + milliseconds_text(latency.intrinsic);
  if (latency.middle > much) {
    return {{"latency", Level::warning, text, way.command("--latency") + "; a hand-over takes two of these"}};
  }
  // What this machine does to us by itself says nothing about the server.
  if (latency.longest - latency.intrinsic > very_much) {
    return {{"latency", Level::warning, text + ": the server or the network stands still at times",
             way.command("--latency-history") + "; and " + way.command("SLOWLOG GET")}};
  }
  return {{"latency", Level::good, text}};
}

Findings judge_stalls(const ServerFacts& facts) {
  constexpr long long long_fork = 200'000;
  constexpr long long seconds_of_a_day = 86'400;
  Findings findings;
  const auto fork = facts.number("latest_fork_usec");
  if (fork > 0) {
    const std::string text =
        "the last one stopped the server for " + milliseconds_text(std::chrono::microseconds{fork});
    if (fork > long_fork) {
      findings.push_back({"fork", Level::warning, text + ": no lock was taken, renewed or given back meanwhile",
                          "use a server for locks alone: it is small, and forks in a millisecond"});
    } else {
      findings.push_back({"fork", Level::good, text});
    }
  }
  const auto delayed = facts.number("aof_delayed_fsync");
  const auto days = facts.number("uptime_in_seconds") / seconds_of_a_day + 1;
  if (delayed > days) {
    findings.push_back({"disk", Level::warning,
                        std::to_string(delayed) + " times in " + std::to_string(days) +
                            " days the server stood still until the disk had the append-only file",
                        "a faster disk, or one that others do not write to"});
  }
  return findings;
}

Findings judge_clock(nanoseconds offset, nanoseconds uncertainty) {
  constexpr auto much = 1s;
  const std::string text =
      "the server's differs from ours by " + milliseconds_text(offset) + ", +- " + milliseconds_text(uncertainty);
  if (std::chrono::abs(offset) <= much + uncertainty) return {{"clock", Level::good, text}};
  return {{"clock", Level::warning, text + ": the times of holders and waiters lie", "timedatectl set-ntp true"}};
}

Findings judge_memory(const ServerFacts& facts, const Way& way) {
  Findings findings;
  const auto most = facts.number("maxmemory");
  const auto policy = facts.info("maxmemory_policy");
  if (most > 0 && !policy.empty() && policy != "noeviction") {
    findings.push_back({"maxmemory-policy", Level::critical,
                        policy + ": under memory pressure locks are deleted while they are held",
                        way.set("maxmemory-policy", "noeviction")});
  } else {
    findings.push_back({"maxmemory-policy", Level::good, most > 0 ? policy : "no limit"});
  }
  const auto used = facts.number("used_memory");
  if (most > 0 && used * 10 > most * 9) {
    const bool is_full = used >= most && policy == "noeviction";
    findings.push_back({"memory", is_full ? Level::critical : Level::warning,
                        std::to_string(used * 100 / most) + " % of maxmemory are used; at 100 % no lock can be taken",
                        way.set("maxmemory", std::to_string(most * 2))});
  }
  return findings;
}

Findings judge_persistence(const ServerFacts& facts, const Way& way) {
  if (facts.info("aof_enabled") != "1") {
    return {{"persistence", Level::warning,
             "no append-only file: a server that is restarted has forgotten all locks, and two may be inside",
             way.set("appendonly", "yes")}};
  }
  if (facts.info("aof_last_write_status") == "err") {
    return {{"persistence", Level::critical, "the append-only file can not be written: the server refuses each lock",
             "look at the server's log, and at the space on its disk"}};
  }
  if (facts.config("appendfsync") == "no") {
    return {{"persistence", Level::warning,
             "appendfsync no: a machine that crashes forgets the locks of the last 30 s or so",
             way.set("appendfsync", "everysec")}};
  }
  return {{"persistence", Level::good, "append-only file, appendfsync " + facts.config("appendfsync", "unknown")}};
}

std::vector<Replica> replicas_of(const ServerFacts& facts) {
  std::vector<Replica> replicas;
  const auto written = facts.number("master_repl_offset");
  const auto count = facts.number("connected_slaves");
  for (long long i = 0; i < count; ++i) {
    auto fields = fields_of(facts.info("slave" + std::to_string(i)));
    if (fields.empty()) break;
    const auto number = [&](const char* name, const char* otherwise) {
      const auto it = fields.find(name);
      return std::atoll(it == fields.end() ? otherwise : it->second.c_str());
    };
    replicas.push_back({.address = fields["ip"] + ":" + fields["port"],
                        .state = fields["state"],
                        .lag = number("lag", "-1"),
                        .bytes_behind = std::max(0LL, written - number("offset", "0"))});
  }
  return replicas;
}

Findings judge_replicas(const ServerFacts& facts, const Way& way) {
  Findings findings;
  const auto count = facts.number("connected_slaves");
  const auto needed = facts.config("min-replicas-to-write", "unknown");
  const std::string text = std::to_string(count) + ", min-replicas-to-write " + needed;
  if (!needed.empty() && needed.find_first_not_of("0123456789") == std::string::npos && std::stoll(needed) > count) {
    findings.push_back({"replicas", Level::critical, text + ": so no lock can be taken", "connect more replicas"});
  } else if (count > 0 && needed == "0") {
    findings.push_back({"replicas", Level::warning,
                        text + ": a primary that is cut off grants locks that its successor does not know",
                        way.set("min-replicas-to-write", "1")});
  } else {
    findings.push_back({"replicas", Level::good, text});
  }
  for (const Replica& replica : replicas_of(facts)) {
    if (!is_behind(replica)) {
      findings.push_back({"replica lag", Level::good, text_of(replica)});
      continue;
    }
    findings.push_back({"replica lag", Level::warning,
                        text_of(replica) + ": if it becomes the primary, it does not know the latest locks",
                        way.command("INFO replication")});
  }
  return findings;
}

Findings judge_clients(const ServerFacts& facts, const Way& way) {
  Findings findings;
  const auto connected = facts.number("connected_clients");
  const auto most = std::atoll(facts.config("maxclients", facts.info("maxclients")).c_str());
  const std::string text =
      std::to_string(connected) + " connections of " + (most > 0 ? std::to_string(most) : "unknown");
  if (most > 0 && connected * 10 > most * 9) {
    findings.push_back({"maxclients", Level::warning, text, way.set("maxclients", std::to_string(most * 2))});
  } else {
    findings.push_back({"maxclients", Level::good, text});
  }
  if (!facts.may_configure) {
    findings.push_back(
        {"configuration", Level::good, "CONFIG GET is refused: what needs it is not checked (+config|get)"});
    return findings;
  }
  const auto timeout = facts.config("timeout", "0");
  if (timeout != "0") {
    findings.push_back(
        {"timeout", Level::warning,
         timeout + ": the server closes connections that are idle for so many seconds; each is made anew",
         way.set("timeout", "0")});
  }
  const auto limit = pubsub_limit(facts.config("client-output-buffer-limit"));
  constexpr long long little = 1024 * 1024;
  if (limit > 0 && limit < little) {
    findings.push_back({"client-output-buffer-limit", Level::warning,
                        "pubsub " + std::to_string(limit) + " bytes: waiters that are slow are cut off",
                        way.set("client-output-buffer-limit", "'pubsub 32mb 8mb 60'")});
  }
  return findings;
}

Findings judge_waking(const ServerFacts& facts, std::optional<long long> pattern_subscribers, const Way& way) {
  Findings findings;
  const auto most = std::atoll(facts.config("tracking-table-max-keys", "0").c_str());
  const auto tracked = facts.number("tracking_total_keys");
  if (most > 0 && tracked * 10 > most * 9) {
    findings.push_back(
        {"tracking table", Level::warning,
         std::to_string(tracked) + " keys of " + std::to_string(most) + ": holders are told of losses late",
         way.set("tracking-table-max-keys", std::to_string(most * 2))});
  }
  // From 7.0 on waiters are woken in another way, which patterns do not see.
  if (pattern_subscribers.value_or(0) > 0 && facts.version().major < 7) {
    findings.push_back({"pattern subscribers", Level::warning,
                        std::to_string(*pattern_subscribers) +
                            " clients use PSUBSCRIBE: they get what wakes waiters, too, at each hand-over",
                        way.command("CLIENT LIST TYPE pubsub")});
  }
  return findings;
}

}  // namespace redismutex::cli
