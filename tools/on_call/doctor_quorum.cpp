#include "doctor_quorum.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <redismutex/operate.hpp>
#include <redismutex/redismutex.hpp>
#include <string>
#include <utility>

#include "doctor_checks.hpp"
#include "server_facts.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

bool is_away(const Finding& finding) { return finding.check == "server" || finding.check == "login"; }

/// Empty: it does not tell.
std::string run_id_of(const ConnectionOptions& server) {
  try {
    return server_info(Connection{server}, "server")["run_id"];
  } catch (const Error&) {
    return {};
  }
}

Findings judge_twins(const std::vector<ConnectionOptions>& servers) {
  Findings findings;
  std::map<std::string, std::string> names;
  for (const ConnectionOptions& server : servers) {
    const std::string id = run_id_of(server);
    if (id.empty()) continue;
    const auto [known, is_new] = names.emplace(id, display_name(server));
    if (is_new) continue;
    findings.push_back(
        {"quorum", Level::critical,
         known->second + " and " + display_name(server) + " lead to one server, and one server has one vote",
         "name another server in place of one of them"});
  }
  return findings;
}

Finding judge_presence(std::size_t present, std::size_t all) {
  const std::size_t majority = all / 2 + 1;
  const std::string text = std::to_string(present) + " of " + std::to_string(all) + " servers answer, " +
                           std::to_string(majority) + " are needed";
  if (present == all) return {"quorum", Level::good, text};
  if (present < majority) return {"quorum", Level::critical, text, "start those that are away"};
  return {
      "quorum", Level::warning, text,
      "start those that are away: " + std::to_string(present - majority) + " more may fail before there are no locks"};
}

Finding judge_lock(const std::vector<ConnectionOptions>& servers) {
  std::vector<Connection> connections;
  connections.reserve(servers.size());
  for (const ConnectionOptions& server : servers) connections.emplace_back(server);
  const RedisMutex mutex{Connection::quorum(std::move(connections)),
                         {.blocking = false, .expiry = 10s, .label = "doctor"}};
  try {
    auto lock = mutex.acquire_lock("redismutex-doctor:" + unique_text());
    lock.extend();
    lock.release();
  } catch (const Error& error) {
    return {"write", Level::critical, error.what()};
  }
  return {"write", Level::good, "a lock was taken at a majority, renewed and given back"};
}

}  // namespace

Findings examine_quorum(const std::vector<ConnectionOptions>& servers, const Examination& of_each) {
  Findings all;
  std::size_t present = 0;
  for (const ConnectionOptions& server : servers) {
    const std::string name = display_name(server);
    Examination one = of_each;
    one.server = server;
    one.name = name;
    Findings found = examine(one);
    if (std::none_of(found.begin(), found.end(), is_away)) ++present;
    for (Finding& each : found) each.server = name;
    std::move(found.begin(), found.end(), std::back_inserter(all));
  }
  // A minority that is away keeps nobody out.
  if (present > servers.size() / 2) {
    for (Finding& each : all) {
      if (is_away(each)) each.level = std::min(each.level, Level::warning);
    }
  }
  all.push_back(judge_presence(present, servers.size()));
  Findings twins = judge_twins(servers);
  const bool are_servers = twins.empty();
  std::move(twins.begin(), twins.end(), std::back_inserter(all));
  if (of_each.writes && are_servers && present > servers.size() / 2) all.push_back(judge_lock(servers));
  return all;
}

}  // namespace redismutex::cli
