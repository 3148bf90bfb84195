#include "places.hpp"
#include "support/cluster.hpp"
#include "support/sentinel_set.hpp"

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

template <class Kind>
KindOfPlace kind(const char* name) {
  return {.name = name, .make = [] { return std::make_unique<Kind>(); }};
}

}  // namespace

const std::vector<KindOfPlace>& kinds_of_place() {
  static const std::vector<KindOfPlace> all{kind<UnderSentinels>("Sentinel"), kind<InACluster>("Cluster")};
  return all;
}

}  // namespace redismutex::testing
