// The rights that docs/deployment.md and docs/operate.md tell administrators to give are enough, and the server finds nothing to refuse.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <future>
#include <redismutex/operate.hpp>
#include <redismutex/redismutex.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/eventually.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

/// An item of the list of rights: "- Redis 7.0 or newer, Valkey: `+this +that`, and words about it".
struct Item {
  std::vector<std::string> servers;
  std::vector<std::string> rights;
};

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find(separator, begin)) != std::string::npos; begin = end + separator.size()) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

/// The list in a page that follows the line that begins with `beginning`.
std::vector<Item> items_after(const std::string& page, const std::string& beginning) {
  std::ostringstream read;
  read << std::ifstream(REDISMUTEX_PAGES "/" + page).rdbuf();
  const auto text = read.str();
  const auto begin = text.find("\n- ", text.find(beginning));
  if (begin == std::string::npos) return {};
  std::vector<Item> items;
  for (const auto& item : split(text.substr(begin + 3, text.find("\n\n", begin) - begin - 3), "\n- ")) {
    const auto parts = split(item, "`");
    if (parts.size() < 3) continue;
    Item& made = items.emplace_back(Item{.servers = split(parts[0].substr(0, parts[0].find(':')), ", ")});
    std::istringstream words(parts[1]);
    for (std::string word; words >> word;) made.rights.push_back(word);
  }
  return items;
}

/// "every server", "Valkey", "Redis 6.2", "Redis 7.0 or newer". (Redict says that it is a Redis.)
bool means(const std::string& servers, Server& server) {
  if (servers == "every server") return true;
  std::istringstream words(servers);
  std::string product, or_newer;
  Version from{};
  char dot = 0;
  words >> product >> from[0] >> dot >> from[1] >> or_newer;
  if (server.product() != (product == "Valkey" ? "valkey" : "redis") || product == "Redict") return false;
  const Version present = server.version();
  return dot == 0 || (or_newer.empty() ? present[0] == from[0] && present[1] == from[1] : present >= from);
}

/// Gives the rights of such a list to alice, as far as they are meant for this server. Returns how many there were.
std::size_t give_rights(Server& server, const std::vector<Item>& items) {
  std::size_t given = 0;
  for (const Item& item : items) {
    const bool is_meant = std::any_of(item.servers.begin(), item.servers.end(),
                                      [&](const std::string& servers) { return means(servers, server); });
    for (const auto& right : item.rights) {
      if (!is_meant) continue;
      EXPECT_EQ(server.command({"ACL", "SETUSER", "alice", right}).text, "OK")
          << right << " is not known to this server";
      ++given;
    }
  }
  return given;
}

void expect_no_refusals(Server& server) {
  for (const auto& refusal : server.command({"ACL", "LOG"}).elements) {
    for (const auto& field : refusal.elements) ADD_FAILURE() << "refused: " << field.text;
  }
}

TEST(Rights, AreEnough) {
  Server server({.users = {"alice on >secret -@all ~lock:*"}});
  ASSERT_GT(give_rights(server, items_after("docs/deployment.md", "The user needs these rights")), 25u)
      << "the list is not where it was";

  const auto url = "unix://alice:secret@" + server.socket_path() + "?db=1";
  const Connection connection{url}, elsewhere{url};
  connection.ping();
  const RedisMutex mutex{connection, {.block_time = 100ms, .delay = 5ms}};
  const RedisMutex next{elsewhere, {.block_time = 15s, .delay = 10s, .expiry = 30s, .fencing = true}};
  for (int turn = 0; turn < 2; ++turn) {
    auto lock = mutex.acquire_lock("lock:key");
    EXPECT_FALSE(mutex.try_acquire_lock("lock:key"));
    EXPECT_THROW((void)mutex.acquire_lock("lock:key"), BlockTimeExceedError);
    lock.extend();
    auto waits = std::async(std::launch::async, [&] { return next.acquire_lock("lock:key").fencing_token(); });
    // It watches the key, after it has lined up.
    const auto watched = [&] { return server.info("stats")["tracking_total_keys"] != "0"; };
    EXPECT_TRUE(eventually(15s, watched));
    lock.release();
    EXPECT_TRUE(waits.get());
  }
  mutex.acquire_lock("lock:another").release();
  const RedisMutex labelled{connection, {.blocking = false, .label = "import"}};
  const Connection operators{"unix://" + server.socket_path() + "?db=1"};
  auto lock = labelled.acquire_lock("lock:labelled");
  EXPECT_TRUE(eventually(15s, [&] { return inspect(operators, "lock:labelled").label.has_value(); }));
  lock.release();
  expect_no_refusals(server);
}

// Those who look at locks from outside need other rights.
TEST(Rights, OfOperatorsAreEnough) {
  Server server({.users = {"alice on >secret -@all"}});
  ASSERT_GT(give_rights(server, items_after("docs/operate.md", "Those who look need these rights")), 15u)
      << "the list is not where it was";
  const Connection connection{server.url()}, elsewhere{server.url()};
  const Connection operators{"unix://alice:secret@" + server.socket_path() + "?db=0"};
  const RedisMutex mutex{connection, {.block_time = 15s, .delay = 5ms, .expiry = 30s, .fencing = true}};
  mutex.acquire_lock("key").release();  // leaves a floor behind
  auto lock = mutex.acquire_lock("key");
  auto waits = std::async(std::launch::async, [&] {
    return RedisMutex{elsewhere, mutex.options()}.acquire_lock("key").owns_lock();
  });
  ASSERT_TRUE(eventually(15s, [&] { return inspect(operators, "key").waiting == 1; }));
  const Inspection seen = inspect(operators, "key", {.deep = true});
  EXPECT_TRUE(seen.client);
  EXPECT_TRUE(seen.missing_rights.empty());
  ASSERT_EQ(seen.waiters.size(), 1u);
  EXPECT_TRUE(seen.waiters[0].connected.has_value());
  server.command(
      {"SET", "another", "00000a12-3401-4234-9234-567890abcdef"});  // whose client is not there: all are looked at
  inspect(operators, "another", {.deep = true});
  for (const bool all : {false, true}) {
    const ScanProgress end = scan(operators, {.all = all}, [](const Inspection&) { return true; });
    EXPECT_TRUE(end.total);
    EXPECT_GE(end.found, 1u);
  }
  lock.release();
  EXPECT_TRUE(waits.get());
  expect_no_refusals(server);
}

}  // namespace
}  // namespace redismutex::testing
