#include "support/sentinel_set.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>

#include "support/eventually.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 60s;

ServerOptions server_options(const SentinelSet::Settings& settings) {
  ServerOptions options{.tcp = true, .directives = settings.directives};
  options.directives.insert(options.directives.end(), {"repl-diskless-sync yes", "repl-diskless-sync-delay 0"});
  return options;
}

ServerOptions sentinel_options(const SentinelSet::Settings& settings) {
  return {.tcp = true,
          .password = settings.sentinel_password,
          .users = settings.sentinel_users,
          .arguments = {"--sentinel"}};
}

}  // namespace

SentinelSet::SentinelSet(const Settings& settings)
    : servers_{Server{server_options(settings)}, Server{server_options(settings)}, Server{server_options(settings)}},
      sentinels_{Server{sentinel_options(settings)}, Server{sentinel_options(settings)},
                 Server{sentinel_options(settings)}} {
  const std::string master = std::to_string(servers_[0].port());
  for (std::size_t i = 1; i < count; ++i) servers_[i].command({"REPLICAOF", "127.0.0.1", master});
  const auto both_follow = [&] { return servers_[0].info("replication")["connected_slaves"] == "2"; };
  if (!eventually(patience, both_follow)) throw std::runtime_error("the replicas do not follow");
  hurry(true);
  // One that was held up for two seconds, as on a busy machine, believes nothing for so long: 30 s, usually. Redis 6 does as usual.
  for (Server& sentinel : sentinels_) sentinel.command({"SENTINEL", "DEBUG", "TILT-PERIOD", "1000"});
  // Different times, so that they do not vote for themselves at once.
  for (std::size_t i = 0; i < count; ++i) {
    sentinels_[i].command({"SENTINEL", "MONITOR", "mymaster", "127.0.0.1", master, "2"});
    const std::string down_after = std::to_string((settings.down_after + 250ms * i).count());
    if (!settings.sentinel_password.empty()) {
      sentinels_[i].command({"SENTINEL", "CONFIG", "SET", "sentinel-pass", settings.sentinel_password});
    }
    sentinels_[i].command({"SENTINEL", "SET", "mymaster", "down-after-milliseconds", down_after});
    sentinels_[i].command({"SENTINEL", "SET", "mymaster", "failover-timeout", "2000"});
  }
  if (!eventually(patience, [&] { return know_each_other(); })) {
    throw std::runtime_error("the sentinels do not know each other");
  }
  hurry(false);
}

bool SentinelSet::know_each_other() {
  return std::all_of(sentinels_.begin(), sentinels_.end(), [](Server& sentinel) {
    const Reply usable = sentinel.command({"SENTINEL", "CKQUORUM", "mymaster"});
    const Reply replicas = sentinel.command({"SENTINEL", "REPLICAS", "mymaster"});
    return usable.text.starts_with("OK 3") && replicas.elements.size() == count - 1;
  });
}

/// Redis 6 does as usual.
void SentinelSet::hurry(bool wanted) {
  for (Server& sentinel : sentinels_) {
    sentinel.command(
        {"SENTINEL", "DEBUG", "INFO-PERIOD", wanted ? "200" : "10000", "PUBLISH-PERIOD", wanted ? "200" : "2000"});
  }
}

std::string SentinelSet::url() const {
  std::string url = "redis+sentinel://";
  for (const Server& sentinel : sentinels_) {
    if (&sentinel != sentinels_.data()) url += ",";
    url += "127.0.0.1:" + std::to_string(sentinel.port());
  }
  return url + "/mymaster";
}

std::string SentinelSet::url_of(std::size_t sentinel) const {
  return "redis+sentinel://127.0.0.1:" + std::to_string(sentinels_.at(sentinel).port()) + "/mymaster";
}

std::optional<std::uint16_t> SentinelSet::port_named_by(Server& sentinel) const try {
  const Reply named = sentinel.command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"});
  if (named.elements.size() != 2) return std::nullopt;
  return static_cast<std::uint16_t>(std::stoi(named.elements[1].text));
} catch (const std::runtime_error&) {  // it is down
  return std::nullopt;
}

Server& SentinelSet::server_at(std::uint16_t port) {
  const auto found = std::find_if(servers_.begin(), servers_.end(), [&](Server& each) { return each.port() == port; });
  if (found == servers_.end()) throw std::runtime_error("a sentinel names a stranger");
  return *found;
}

Server& SentinelSet::named_by(std::size_t sentinel) {
  const auto port = port_named_by(sentinels_.at(sentinel));
  if (!port) throw std::runtime_error("the sentinel names nobody");
  return server_at(*port);
}

Server& SentinelSet::master() {
  std::set<std::uint16_t> named;
  const auto agree = [&] {
    named.clear();
    for (Server& sentinel : sentinels_) {
      if (const auto port = port_named_by(sentinel)) named.insert(*port);
    }
    return named.size() == 1;
  };
  if (!eventually(patience, agree)) throw std::runtime_error("the sentinels do not agree");
  return server_at(*named.begin());
}

Server& SentinelSet::master_after(const Server& former) {
  Server* now = nullptr;
  const auto is_another = [&] { return (now = &master()) != &former; };
  if (!eventually(patience, is_another)) throw std::runtime_error("there was no failover");
  return *now;
}

void SentinelSet::until_replicated() {
  const auto offset = [](Server& server) { return server.info("replication")["master_repl_offset"]; };
  Server& now = master();
  const auto is_everywhere = [&] {
    return std::all_of(servers_.begin(), servers_.end(), [&](Server& each) { return offset(each) == offset(now); });
  };
  if (!eventually(patience, is_everywhere)) throw std::runtime_error("the replicas do not keep up");
}

Server& SentinelSet::fail_over() {
  const Server& former = master();
  // They may give up half-way, because no replica seems good enough to them.
  const auto is_over = [&] {
    if (&master() != &former) return true;
    sentinels_[0].command({"SENTINEL", "FAILOVER", "mymaster"});
    std::this_thread::sleep_for(100ms);
    return false;
  };
  if (!eventually(patience, is_over)) throw std::runtime_error("the sentinels make nobody else the master");
  return master();
}

}  // namespace redismutex::testing
