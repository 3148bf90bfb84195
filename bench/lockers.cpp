#include "lockers.hpp"

#include <chrono>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "ours.hpp"
#include "protocol/key.hpp"
#include "protocol/script.hpp"
#include "raw_connection.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view some_id = "0b5c7b9e-3c1d-4a57-9d0e-6f2a8c4e1b73";

class Floor final : public Locker {
 public:
  explicit Floor(const std::string& url) : connection_{url} {
    connection_.command({"SCRIPT", "LOAD", protocol::scripts::release.source});
  }

  void lock(const std::string& key) override {
    if (key_ != key) {
      key_ = key;
      names_.emplace(key);
    }
    const net::Reply reply = connection_.command({"SET", key_, some_id, "NX", "PX", "7000"});
    if ((*reply).type() != net::ReplyType::simple_string) throw std::runtime_error{"the lock is taken"};
  }
  void unlock() override {
    const net::Reply reply = connection_.command(
        {"EVALSHA", protocol::scripts::release.sha1, "3", key_, names_->line(), names_->floor(), some_id, "", ""});
    if ((*reply).integer() != 1) throw std::runtime_error{"the lock was lost"};
  }

 private:
  RawConnection connection_;
  std::string key_;
  std::optional<protocol::Key> names_;
};

class Seed final : public Locker {
 public:
  explicit Seed(const std::string& url) : connection_{url} {}

  void lock(const std::string& key) override {
    key_ = key;
    id_ = std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
    while ((*connection_.command({"SET", key_, id_, "NX", "EX", "7"})).type() == net::ReplyType::null) {
      std::this_thread::sleep_for(500ms);
    }
  }
  void unlock() override {
    const net::Reply owner = connection_.command({"GET", key_});
    if ((*owner).text() == id_) connection_.command({"DEL", key_});
  }

 private:
  RawConnection connection_;
  std::string key_;
  std::string id_;
};

std::unique_ptr<Locker> make_quorum(const std::string& urls) {
  std::istringstream words{urls};
  std::vector<Connection> connections;
  for (std::string url; words >> url;) connections.emplace_back(url);
  return std::make_unique<Ours>(
      RedisMutex{Connection::quorum(std::move(connections)), {.block_time = 60s, .expiry = 61s}});
}

}  // namespace

std::unique_ptr<Locker> make_locker(const std::string& name, const std::string& url) {
  if (name == "quorum") return make_quorum(url);
  if (name == "floor") return std::make_unique<Floor>(url);
  if (name == "seed") return std::make_unique<Seed>(url);
  return std::move(make_ours(name, url).front());
}

Lockers make_lockers(const std::string& name, const std::string& url, int connections, int threads) {
  if (is_ours(name)) return make_ours(name, url, connections, threads);
  Lockers lockers;
  for (int i = 0; i < connections * threads; ++i) lockers.push_back(make_locker(name, url));
  return lockers;
}

}  // namespace redismutex::bench
