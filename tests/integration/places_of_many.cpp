#include <algorithm>
#include <array>
#include <map>

#include "places.hpp"
#include "support/cluster.hpp"
#include "support/sentinel_set.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

/// By hand, at the server that has the key at present.
class ManyServers : public Place {
 public:
  std::optional<std::string> stored(const std::string& key) override { return server_of(key).get(key); }
  void remove(const std::string& key) override { server_of(key).command({"DEL", key}); }

  bool take(const std::string& key, const std::string& value, std::chrono::milliseconds lease) override {
    return server_of(key).command({"SET", key, value, "NX", "PX", std::to_string(lease.count())}).text == "OK";
  }

  long long waiting(const std::string& key) override {
    // Each has two members there: its place, and its life.
    return server_of(key).command({"ZCARD", "redismutex:{" + key + "}"}).integer / 2;
  }

  std::vector<std::string> keys() override {
    std::vector<std::string> all;
    for (Server* server : masters()) {
      for (std::string& key : server->keys()) all.push_back(std::move(key));
    }
    return all;
  }

  void cut_connections() override {
    for (Server* server : masters()) {
      for (const std::string type : {"normal", "pubsub"}) server->command({"CLIENT", "KILL", "TYPE", type});
    }
  }

 protected:
  virtual Server& server_of(const std::string& key) = 0;
  virtual std::vector<Server*> masters() = 0;

  /// What a test that failed has left there.
  void empty() {
    for (Server* server : masters()) server->command({"FLUSHALL"});
  }
};

class UnderSentinels final : public ManyServers {
 public:
  UnderSentinels() { empty(); }
  Connection connect() override { return Connection{set().url()}; }

 protected:
  Server& server_of(const std::string& /*key*/) override { return set().master(); }
  std::vector<Server*> masters() override { return {&set().master()}; }

 private:
  /// A busy machine does not make a master look dead.
  static SentinelSet& set() {
    static SentinelSet made{{.down_after = std::chrono::seconds{20}}};
    return made;
  }
};

class InACluster final : public ManyServers {
 public:
  InACluster() { empty(); }
  Connection connect() override { return Connection{Cluster::shared().url()}; }

 protected:
  Server& server_of(const std::string& key) override { return Cluster::shared().master_of_key(key); }
  std::vector<Server*> masters() override { return Cluster::shared().masters(); }
};

/// At each server by hand; what a majority of them has is what there is.
class AtAQuorum final : public Place {
 public:
  AtAQuorum() {
    for (Server& server : servers()) server.command({"FLUSHALL"});
  }

  Connection connect() override {
    std::vector<Connection> connections;
    for (const Server& server : servers()) connections.emplace_back(server.url());
    return Connection::quorum(std::move(connections));
  }

  std::optional<std::string> stored(const std::string& key) override {
    std::map<std::string, std::size_t> votes;
    for (Server& server : servers()) {
      const auto value = server.get(key);
      if (value && ++votes[*value] >= majority) return value;
    }
    return std::nullopt;
  }

  bool take(const std::string& key, const std::string& value, std::chrono::milliseconds lease) override {
    std::vector<Server*> taken;
    for (Server& server : servers()) {
      if (server.command({"SET", key, value, "NX", "PX", std::to_string(lease.count())}).text == "OK") {
        taken.push_back(&server);
      }
    }
    if (taken.size() >= majority) return true;
    for (Server* server : taken) server->command({"DEL", key});
    return false;
  }

  void remove(const std::string& key) override {
    for (Server& server : servers()) server.command({"DEL", key});
  }

  /// At a majority.
  long long waiting(const std::string& key) override {
    std::array<long long, count> all{};
    for (std::size_t i = 0; i < count; ++i) {
      all.at(i) = servers().at(i).command({"ZCARD", "redismutex:{" + key + "}"}).integer / 2;
    }
    std::sort(all.begin(), all.end());
    return all.at(count - majority);
  }

  std::vector<std::string> keys() override {
    std::vector<std::string> all;
    for (Server& server : servers()) {
      for (std::string& key : server.keys()) all.push_back(std::move(key));
    }
    return all;
  }

  void cut_connections() override {
    for (Server& server : servers()) {
      for (const std::string type : {"normal", "pubsub"}) server.command({"CLIENT", "KILL", "TYPE", type});
    }
  }

 private:
  static constexpr std::size_t count = 3;
  static constexpr std::size_t majority = count / 2 + 1;

  static std::array<Server, count>& servers() {
    static std::array<Server, count> made;
    return made;
  }
};

template <class Kind>
KindOfPlace kind(const char* name) {
  return {.name = name, .make = [] { return std::make_unique<Kind>(); }};
}

}  // namespace

const std::vector<KindOfPlace>& kinds_of_place() {
  static const std::vector<KindOfPlace> all{kind<UnderSentinels>("Sentinel"), kind<InACluster>("Cluster"),
                                            kind<AtAQuorum>("Quorum")};
  return all;
}

}  // namespace redismutex::testing
