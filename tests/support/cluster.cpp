#include "support/cluster.hpp"

#include <algorithm>
#include <functional>
#include <set>
#include <sstream>
#include <stdexcept>

#include "protocol/slot.hpp"
#include "support/eventually.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto limit = 30s;
constexpr std::size_t master_count = 3;
constexpr int slots = 16384;

ServerOptions options() {
  return {.tcp = true,
          .cluster = true,
          .directives = {"cluster-enabled yes", "cluster-node-timeout 1000", "cluster-replica-validity-factor 0",
                         "repl-ping-replica-period 1", "repl-diskless-sync yes", "repl-diskless-sync-delay 0",
                         "appendonly no"}};
}

void expect_ok(const Reply& reply, const std::string& what) {
  if (reply.is_error()) throw std::runtime_error{what + ": " + reply.text};
}

/// A line of CLUSTER NODES, in words.
std::vector<std::vector<std::string>> lines_of(const std::string& text) {
  std::vector<std::vector<std::string>> lines;
  std::istringstream all{text};
  for (std::string line; std::getline(all, line);) {
    std::istringstream words{line};
    auto& found = lines.emplace_back();
    for (std::string word; words >> word;) found.push_back(word);
  }
  return lines;
}

/// Each range of slots with the port of its master, as this server sees it.
std::string map_of(Server& node) {
  std::set<std::string> ranges;
  for (const Reply& range : node.command({"CLUSTER", "SLOTS"}).elements) {
    ranges.insert(range.elements.at(0).text + "-" + range.elements.at(1).text + " " +
                  range.elements.at(2).elements.at(1).text);
  }
  std::string map;
  for (const std::string& range : ranges) map += range + "\n";
  return map;
}

}  // namespace

Cluster::Cluster() {
  for (auto& node : nodes_) node = std::make_unique<Server>(options());
  form();
  wait_until_well();
}

Cluster& Cluster::shared() {
  static Cluster cluster;
  return cluster;
}

void Cluster::form() {
  for (std::size_t i = 0; i < size; ++i) {
    expect_ok(node(i).command({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)}), "SET-CONFIG-EPOCH");
  }
  for (std::size_t i = 0; i < master_count; ++i) {
    std::vector<std::string> command{"CLUSTER", "ADDSLOTS"};
    const int first = slots * static_cast<int>(i) / static_cast<int>(master_count);
    const int end = slots * static_cast<int>(i + 1) / static_cast<int>(master_count);
    for (int slot = first; slot < end; ++slot) command.push_back(std::to_string(slot));
    expect_ok(node(i).command(command), "ADDSLOTS");
  }
  for (std::size_t i = 1; i < size; ++i) {
    expect_ok(node(0).command({"CLUSTER", "MEET", "127.0.0.1", std::to_string(node(i).port())}), "MEET");
  }
  for (std::size_t i = master_count; i < size; ++i) {
    const std::string master = id_of(node(i - master_count));
    const bool replicates = eventually(limit, [&] {
      return !node(i).command({"CLUSTER", "REPLICATE", master}).is_error();
    });
    if (!replicates) throw std::runtime_error{"a server of the cluster does not become a replica"};
  }
}

std::string Cluster::url() const {
  std::string url = "redis+cluster://";
  for (const auto& node : nodes_) {
    if (node != nodes_.front()) url += ',';
    url += "127.0.0.1:" + std::to_string(node->port());
  }
  return url;
}

Server& Cluster::node_at(std::uint16_t port) {
  const auto place =
      std::find_if(nodes_.begin(), nodes_.end(), [port](const auto& node) { return node->port() == port; });
  if (place == nodes_.end()) throw std::runtime_error{"no such server in the cluster"};
  return **place;
}

std::string Cluster::id_of(Server& node) { return node.command({"CLUSTER", "MYID"}).text; }

/// As the first one says that can be asked.
Server& Cluster::master_of(std::uint16_t slot) {
  for (const auto& node : nodes_) {
    try {
      for (const Reply& range : node->command({"CLUSTER", "SLOTS"}).elements) {
        if (range.elements.at(0).integer > slot || range.elements.at(1).integer < slot) continue;
        return node_at(static_cast<std::uint16_t>(range.elements.at(2).elements.at(1).integer));
      }
    } catch (const std::runtime_error&) {  // it is not there
      continue;
    }
  }
  throw std::runtime_error{"nobody has slot " + std::to_string(slot)};
}

Server& Cluster::master_of_key(std::string_view key) { return master_of(protocol::slot_of(key)); }

std::vector<Server*> Cluster::masters() {
  std::vector<Server*> found;
  for (const auto& node : nodes_) {
    for (const auto& words : lines_of(node->command({"CLUSTER", "NODES"}).text)) {
      if (words.size() > 8 && words[2] == "myself,master") found.push_back(node.get());
    }
  }
  return found;
}

Server& Cluster::replica_of(Server& master) {
  const std::string id = id_of(master);
  for (const auto& node : nodes_) {
    for (const auto& words : lines_of(node->command({"CLUSTER", "NODES"}).text)) {
      if (words.size() > 3 && words[2] == "myself,slave" && words[3] == id) return *node;
    }
  }
  throw std::runtime_error{"the master has no replica"};
}

bool Cluster::agree() try {
  const std::string map = map_of(node(0));
  return std::all_of(nodes_.begin(), nodes_.end(), [&map](const auto& node) { return map_of(*node) == map; });
} catch (const std::exception&) {
  return false;
}

bool Cluster::is_well() try {
  if (!agree()) return false;
  for (const auto& node : nodes_) {
    if (node->command({"CLUSTER", "INFO"}).text.find("cluster_state:ok") == std::string::npos) return false;
    std::size_t masters = 0, replicas = 0;
    for (const auto& words : lines_of(node->command({"CLUSTER", "NODES"}).text)) {
      if (words.size() < 8 || words[7] != "connected" || words[2].find("fail") != std::string::npos) return false;
      if (words[2].find("master") != std::string::npos && words.size() > 8) ++masters;
      if (words[2].find("slave") != std::string::npos) ++replicas;
    }
    if (masters != master_count || replicas != size - master_count) return false;
    const auto replication = node->info("replication");
    if (replication.at("role") == "slave" && replication.at("master_link_status") != "up") return false;
    for (const Reply& range : node->command({"CLUSTER", "SLOTS"}).elements) {
      if (range.elements.size() < 4) return false;
    }
  }
  return true;
} catch (const std::exception&) {
  return false;
}

void Cluster::wait_until_well() {
  if (eventually(limit, [this] { return is_well(); })) return;
  throw std::runtime_error{"the cluster is not well:\n" + node(0).command({"CLUSTER", "NODES"}).text};
}

bool Cluster::wait_until_left(std::uint16_t slot, Server& node) {
  return eventually(limit, [&] {
    for (const auto& other : nodes_) {
      if (other.get() == &node) continue;
      try {
        for (const Reply& range : other->command({"CLUSTER", "SLOTS"}).elements) {
          if (range.elements.at(0).integer > slot || range.elements.at(1).integer < slot) continue;
          if (range.elements.at(2).elements.at(1).integer != node.port()) return true;
        }
      } catch (const std::runtime_error&) {  // not this one, then
        continue;
      }
    }
    return false;
  });
}

void Cluster::fail_over(Server& master) {
  Server& replica = replica_of(master);
  expect_ok(replica.command({"CLUSTER", "FAILOVER"}), "FAILOVER");
  const bool done = eventually(limit, [&] { return replica.info("replication").at("role") == "master"; });
  if (!done) throw std::runtime_error{"the replica does not take over"};
}

void Cluster::move_slot(std::uint16_t slot, Server& to, const std::function<void()>& halfway) {
  Server& from = master_of(slot);
  if (&from == &to) return;
  const std::string number = std::to_string(slot);
  expect_ok(to.command({"CLUSTER", "SETSLOT", number, "IMPORTING", id_of(from)}), "IMPORTING");
  expect_ok(from.command({"CLUSTER", "SETSLOT", number, "MIGRATING", id_of(to)}), "MIGRATING");
  if (halfway) halfway();
  for (;;) {
    const Reply keys = from.command({"CLUSTER", "GETKEYSINSLOT", number, "1"});
    if (keys.elements.empty()) break;
    expect_ok(
        from.command({"MIGRATE", "127.0.0.1", std::to_string(to.port()), keys.elements.front().text, "0", "5000"}),
        "MIGRATE");
  }
  const std::string id = id_of(to);
  expect_ok(to.command({"CLUSTER", "SETSLOT", number, "NODE", id}), "SETSLOT NODE");
  expect_ok(from.command({"CLUSTER", "SETSLOT", number, "NODE", id}), "SETSLOT NODE");
  for (Server* master : masters()) {
    if (master != &from && master != &to) master->command({"CLUSTER", "SETSLOT", number, "NODE", id});
  }
  if (!eventually(limit, [this] { return agree(); })) throw std::runtime_error{"the servers do not agree on the slots"};
}

bool Cluster::moves_at_once() { return !node(0).command({"CLUSTER", "GETSLOTMIGRATIONS"}).is_error(); }

void Cluster::move_slot_at_once(std::uint16_t slot, Server& to) {
  Server& from = master_of(slot);
  if (&from == &to) return;
  const std::string number = std::to_string(slot);
  expect_ok(from.command({"CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", number, number, "NODE", id_of(to)}), "MIGRATESLOTS");
  if (!wait_until_left(slot, from)) throw std::runtime_error{"the slot does not move"};
  if (!eventually(limit, [this] { return agree(); })) throw std::runtime_error{"the servers do not agree on the slots"};
}

std::vector<std::string> keys_of_many_slots(std::size_t count, const std::string& prefix) {
  std::vector<std::string> keys;
  std::vector<std::uint16_t> taken;
  for (int i = 0; keys.size() < count; ++i) {
    std::string key = prefix + std::to_string(i);
    const std::uint16_t slot = protocol::slot_of(key);
    const auto third = static_cast<std::size_t>(slot) * master_count / slots;
    if (third != keys.size() % master_count || std::find(taken.begin(), taken.end(), slot) != taken.end()) continue;
    taken.push_back(slot);
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace redismutex::testing
