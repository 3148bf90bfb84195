#include "places.hpp"

#include <redismutex/testing.hpp>

#include "memory/host.hpp"
#include "memory/process.hpp"
#include "memory/value.hpp"
#include "support/certificates.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

const Certificates& certificates() {
  static const Certificates made;
  return made;
}

std::string by_unix_socket(const Server& server) { return server.url(); }
std::string by_tcp(const Server& server) { return server.tcp_url(); }
std::string by_tls(const Server& server) { return server.tls_url() + "?ca_file=" + certificates().ca_file(); }

class SingleServer final : public Place {
 public:
  using Url = std::string (*)(const Server& server);

  explicit SingleServer(Url url) : url_{url} {}

  Connection connect() override { return Connection{url_(server_)}; }
  std::optional<std::string> stored(const std::string& key) override { return server_.get(key); }
  void remove(const std::string& key) override { server_.command({"DEL", key}); }
  std::vector<std::string> keys() override { return server_.keys(); }

  bool take(const std::string& key, const std::string& value, std::chrono::milliseconds lease) override {
    return server_.command({"SET", key, value, "NX", "PX", std::to_string(lease.count())}).text == "OK";
  }

  long long waiting(const std::string& key) override {
    // Each has two members there: its place, and its life.
    return server_.command({"ZCARD", "redismutex:{" + key + "}"}).integer / 2;
  }

  void cut_connections() override {
    for (const std::string type : {"normal", "pubsub"}) server_.command({"CLIENT", "KILL", "TYPE", type});
  }

 private:
  Server server_{{.tcp = true, .tls = certificates().tls(certificates().server())}};
  const Url url_;
};

/// Without a server.
class InMemory final : public Place {
 public:
  Connection connect() override { return Connection{server_.url()}; }
  void remove(const std::string& key) override { host_->command({"DEL", key}); }
  void cut_connections() override { server_.cut_connections(); }

  std::optional<std::string> stored(const std::string& key) override {
    const memory::Value value = host_->command({"GET", key});
    return value.kind == memory::Value::Kind::bulk ? std::optional{value.text} : std::nullopt;
  }

  bool take(const std::string& key, const std::string& value, std::chrono::milliseconds lease) override {
    return host_->command({"SET", key, value, "NX", "PX", std::to_string(lease.count())}).text == "OK";
  }

  long long waiting(const std::string& key) override {
    return host_->command({"ZCARD", "redismutex:{" + key + "}"}).integer / 2;
  }

  std::vector<std::string> keys() override {
    std::vector<std::string> all;
    const memory::Value page = host_->command({"SCAN", "0"});
    for (const memory::Value& key : page.elements.at(1).elements) all.push_back(key.text);
    return all;
  }

 private:
  MemoryServer server_;
  const std::shared_ptr<memory::Host> host_ = memory::Process::current().host(parse_url(server_.url()).memory);
};

KindOfPlace single_server(const char* name, SingleServer::Url url) {
  return {.name = name, .make = [url] { return std::make_unique<SingleServer>(url); }};
}

}  // namespace

const std::vector<KindOfPlace>& kinds_of_place() {
  static const std::vector<KindOfPlace> all{single_server("Unix", by_unix_socket),
                                            single_server("Tcp", by_tcp),
                                            single_server("Tls", by_tls),
                                            {.name = "Memory", .make = [] { return std::make_unique<InMemory>(); }}};
  return all;
}

}  // namespace redismutex::testing
