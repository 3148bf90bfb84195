// What operators' tools see of locks from outside, and how they break them.

#include <algorithm>
#include <cstdlib>
#include <future>
#include <memory>
#include <mutex>
#include <redismutex/operate.hpp>
#include <set>
#include <thread>

#include "contender.hpp"
#include "thrown.hpp"
#include "user_rights.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using State = Inspection::State;

/// As programs make it that do not use this library.
const std::string foreign_id = "0b5c7b9e-3c1d-4a57-9d0e-6f2a8c4e1b73";

/// More of the library's details than a test should need: a place and a life in the line.
const std::string dead_id = "00000a12-3401-4234-9234-567890abcdef";

struct Operate : WithServer {
  Connection operators{server.url()};

  Inspection look(const std::string& key = "key", const InspectOptions& options = {}) {
    return inspect(operators, key, options);
  }

  std::string server_time_us() {
    const auto time = server.command({"TIME"}).elements;
    return std::to_string(std::stoll(time.at(0).text) * 1'000'000 + std::stoll(time.at(1).text));
  }

  /// Connections cut by an administrator, as by `CLIENT KILL`.
  void cut_connections() { server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}); }
};

// What the server says of itself, as a whole and in part; a refusal is one.
TEST_F(Operate, TellsTheServersInfo) {
  const auto part = server_info(operators, "replication");
  EXPECT_EQ(part.at("role"), "master");
  EXPECT_FALSE(part.contains("connected_clients"));
  EXPECT_GE(std::stoi(server_info(operators).at("connected_clients")), 1);
  EXPECT_THAT(server_info(operators, "no-such-section"), IsEmpty());

  add_user(server, "poor", lock_rights);
  EXPECT_THROW(server_info(Connection{"unix://poor:secret@" + server.socket_path()}), ServerError);
}

// ---- one lock -------------------------------------------------------------------------------------------------------

// A free key: nothing is there, and looking leaves nothing behind.
TEST_F(Operate, SeesThatALockIsFree) {
  const Inspection seen = look();
  EXPECT_EQ(seen.key, "key");
  EXPECT_EQ(seen.state, State::free);
  EXPECT_EQ(seen.waiting, 0u);
  EXPECT_THAT(seen.waiters, IsEmpty());
  EXPECT_THAT(seen.missing_rights, IsEmpty());
  EXPECT_FALSE(seen.floor);
  EXPECT_LT(std::chrono::abs(seen.seen_at - std::chrono::system_clock::now()), 1min);
}

// A lock of this library's tells who has it, since when, and how long its lease is.
TEST_F(Operate, SeesWhoHoldsALock) {
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  const Inspection seen = look("key", {.deep = true});
  EXPECT_EQ(seen.state, State::held);
  EXPECT_EQ(seen.type, "string");
  EXPECT_EQ(seen.value, lock.value());
  EXPECT_EQ(seen.value_size, 36u);
  ASSERT_TRUE(seen.lease_left);
  EXPECT_GT(*seen.lease_left, limit);
  EXPECT_LE(*seen.lease_left, 2 * limit);
  ASSERT_TRUE(seen.asked_at);
  EXPECT_LT(std::chrono::abs(*seen.asked_at - seen.seen_at), 1min);
  ASSERT_TRUE(seen.client);
  EXPECT_EQ(seen.client->pid, ::getpid());
  EXPECT_NE(seen.client->host, "");
  EXPECT_EQ(seen.client->purpose, program_invocation_short_name);
  EXPECT_NE(seen.client->address, "");
  EXPECT_EQ(seen.client->user, "default");
  EXPECT_EQ(seen.connected, true);
  EXPECT_FALSE(seen.label);
}

// A holder that had to connect anew is found by its tag, among all connections, when that is asked for.
TEST_F(Operate, FindsAHolderThatConnectedAnew) {
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  cut_connections();
  connection.ping();
  const Inspection deep = look("key", {.deep = true});
  ASSERT_TRUE(deep.client);
  EXPECT_EQ(deep.client->pid, ::getpid());
  EXPECT_EQ(deep.connected, true);
  // By its number it is not, except that Redis 6.0 can not be asked that way at all. Then nothing is known.
  const Inspection seen = look();
  EXPECT_FALSE(seen.client);
  EXPECT_FALSE(seen.connected.has_value());
}

// A holder that is gone is known to be gone, when all connections were looked through.
TEST_F(Operate, SeesThatAHolderIsGone) {
  const ChildProcess holder{[&] {
    const auto lock = RedisMutex{Connection{server.url()}, non_blocking}.acquire_lock("key");
    std::_Exit(lock.owns_lock() ? 0 : 1);  // does not give it back
    return 0;
  }};
  ASSERT_EQ(holder.wait(limit), exited(0));
  ASSERT_TRUE(eventually(limit, [&] { return look("key", {.deep = true}).connected == false; }));
  const Inspection seen = look("key", {.deep = true});
  EXPECT_EQ(seen.state, State::held);
  EXPECT_FALSE(seen.client);
  server.command({"DEL", "key"});
}

// Other programs' locks are foreign, and so is any other string; of a large one the beginning is shown.
TEST_F(Operate, SeesForeignLocks) {
  server.command({"SET", "key", foreign_id, "NX", "PX", "30000"});
  const Inspection theirs = look();
  EXPECT_EQ(theirs.state, State::foreign);
  EXPECT_EQ(theirs.value, foreign_id);
  EXPECT_TRUE(theirs.lease_left);
  EXPECT_FALSE(theirs.client);

  server.command({"SET", "key", std::string(100'000, 'x')});
  const Inspection large = look();
  EXPECT_EQ(large.state, State::foreign);
  EXPECT_EQ(large.value, std::string(128, 'x'));
  EXPECT_EQ(large.value_size, 100'000u);
  EXPECT_FALSE(large.lease_left);

  server.command({"SET", "key", ""});
  EXPECT_EQ(look().state, State::foreign);
  server.command({"DEL", "key"});
}

TEST_F(Operate, SeesWhatIsNoLock) {
  for (const auto& [type, make] : {std::pair{"list", std::vector<std::string>{"RPUSH", "key", "a"}},
                                   std::pair{"hash", std::vector<std::string>{"HSET", "key", "a", "b"}},
                                   std::pair{"zset", std::vector<std::string>{"ZADD", "key", "1", "b"}}}) {
    server.command(make);
    const Inspection seen = look();
    EXPECT_EQ(seen.state, State::not_a_lock);
    EXPECT_EQ(seen.type, type);
    EXPECT_EQ(seen.value, "");
    server.command({"DEL", "key"});
  }
}

// The floor of the tokens, while the server remembers it.
TEST_F(Operate, SeesTheFloor) {
  Options fenced = non_blocking;
  fenced.fencing = true;
  auto lock = RedisMutex{connection, fenced}.acquire_lock("key");
  const auto token = lock.fencing_token();
  lock.release();
  const Inspection seen = look();
  EXPECT_EQ(seen.state, State::free);
  EXPECT_EQ(seen.floor, token);
  server.command({"DEL", "redismutex:floor:{key}"});
}

// The label of the present holder is shown; one that another has left is not.
TEST_F(Operate, SeesTheLabelOfTheHolder) {
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  const auto write = [&](const std::string& id, const std::string& rest) {
    server.command({"SET", "redismutex:about:{key}", "1 " + id + " " + rest, "PX", "30000"});
  };
  write(lock.value(), "1799999999123 30000 1799999999000001 the night's import");
  const Inspection seen = look();
  ASSERT_TRUE(seen.label);
  EXPECT_EQ(seen.label->text, "the night's import");
  EXPECT_EQ(seen.label->since, WallTime{1'799'999'999'123ms});
  EXPECT_EQ(seen.label->expiry, 30s);
  EXPECT_EQ(seen.label->token, 1'799'999'999'000'001u);
  write(foreign_id, "1799999999123 30000 0 another's");
  EXPECT_FALSE(look().label);
  server.command({"SET", "redismutex:about:{key}", std::string(5000, 'x')});
  EXPECT_FALSE(look().label);
  server.command({"DEL", "redismutex:about:{key}"});
  server.command({"RPUSH", "redismutex:about:{key}", "no label"});
  EXPECT_EQ(look().state, State::held);
  server.command({"DEL", "redismutex:about:{key}"});
}

// What Options::label says stands beside the key while the lock is held, and goes with it.
TEST_F(Operate, SeesTheLabelThatTheHolderHasWritten) {
  const RedisMutex mutex{connection,
                         {.blocking = false, .expiry = 2 * limit, .fencing = true, .label = "the night's import"}};
  auto lock = mutex.acquire_lock("key");
  ASSERT_TRUE(eventually(limit, [&] { return look().label.has_value(); }));
  const Inspection seen = look();
  EXPECT_EQ(seen.label->text, "the night's import");
  EXPECT_LT(std::chrono::abs(seen.label->since - seen.seen_at), 1min);
  EXPECT_EQ(seen.label->expiry, 2 * limit);
  EXPECT_EQ(seen.label->token, lock.fencing_token());
  std::vector<std::string> found;
  scan(operators, {}, [&](const Inspection& each) {
    found.push_back(each.key);
    return true;
  });
  EXPECT_THAT(found, ElementsAre("key"));
  const auto lasts = [&](const std::string& name) { return server.command({"PTTL", name}).integer; };
  EXPECT_GT(lasts("redismutex:about:{key}"), lasts("key"));
  lock.release();
  EXPECT_FALSE(look().label);
  EXPECT_EQ(server.command({"EXISTS", "redismutex:about:{key}"}).integer, 0);
  server.command({"DEL", "redismutex:floor:{key}"});
}

// As long as the lease is renewed.
TEST_F(Operate, TheLabelOfARenewedLockStays) {
  const RedisMutex mutex{connection, {.blocking = false, .expiry = 300ms, .auto_renew = true, .label = "import"}};
  auto lock = mutex.acquire_lock("key");
  ASSERT_TRUE(eventually(limit, [&] { return look().label.has_value(); }));
  const auto end = std::chrono::steady_clock::now() + 1500ms;  // five leases
  while (std::chrono::steady_clock::now() < end) {
    const Inspection seen = look();
    if (seen.state != State::held) break;  // a machine too busy for such a lease
    ASSERT_TRUE(seen.label);
  }
}

// One that waits can find its own place in line.
TEST_F(Operate, AWaiterFindsItsPosition) {
  class Remembers final : public Observer {
   public:
    void wait_began(const WaitBegan& event) noexcept override {
      const std::lock_guard lock{mutex_};
      value_ = event.value;
    }
    std::string value() const {
      const std::lock_guard lock{mutex_};
      return value_;
    }

   private:
    mutable std::mutex mutex_;
    std::string value_;
  };
  auto lock = RedisMutex{connection, patient}.acquire_lock("key");
  const auto remembers = std::make_shared<Remembers>();
  ConnectionOptions options = parse_url(server.url());
  options.observer = remembers;
  std::jthread first{[&] { (void)RedisMutex{Connection{server.url()}, patient}.acquire_lock("key"); }};
  ASSERT_TRUE(eventually(limit, [&] { return look().waiting == 1; }));
  std::jthread second{[&] { (void)RedisMutex{Connection{options}, patient}.acquire_lock("key"); }};
  ASSERT_TRUE(eventually(limit, [&] { return look().waiting == 2; }));
  EXPECT_TRUE(eventually(limit, [&] { return look().waiters.at(1).id == remembers->value(); }));
  lock.release();
}

// Each holder's own: after a hand-over it is the next one's, and none if that one has none.
TEST_F(Operate, AfterAHandOverTheLabelIsTheNextHolders) {
  Options options = patient;
  options.label = "first";
  auto first = RedisMutex{connection, options}.acquire_lock("key");
  ASSERT_TRUE(eventually(limit, [&] { return look().label.has_value(); }));
  for (const std::string label : {"second", ""}) {
    options.label = label;
    const Connection other{server.url()};
    auto next = std::async(std::launch::async, [&] { return RedisMutex{other, options}.acquire_lock("key"); });
    ASSERT_TRUE(eventually(limit, [&] { return look().waiting == 1; }));
    first.release();
    first = next.get();
    const auto seen = [&] {
      const auto read = look().label;
      return read ? read->text : "";
    };
    EXPECT_TRUE(eventually(limit, [&] { return seen() == label; })) << seen();
  }
  EXPECT_EQ(server.command({"EXISTS", "redismutex:about:{key}"}).integer, 0);
  first.release();
}

// A dead holder's goes by itself.
TEST_F(Operate, TheLabelOfADeadHolderGoesByItself) {
  const ChildProcess holder{[&] {
    const Connection own{server.url()};
    const auto lock =
        RedisMutex{own, {.blocking = false, .expiry = 300ms, .auto_renew = true, .label = "import"}}.acquire_lock(
            "key");
    const bool written = eventually(limit, [&] { return inspect(own, "key").label.has_value(); });
    std::_Exit(written ? 0 : 1);  // does not give it back
    return 0;
  }};
  ASSERT_EQ(holder.wait(limit), exited(0));
  EXPECT_LE(server.command({"PTTL", "redismutex:about:{key}"}).integer, 600);
  EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); }));
}

// ---- those who wait -------------------------------------------------------------------------------------------------

// Processes that wait are told in their order, with who they are. They are connected as long as they live; then they are still
// told, as not connected, as long as they count as alive.
TEST_F(Operate, SeesThoseInLine) {
  auto lock = RedisMutex{connection, patient}.acquire_lock("key");
  Contenders contenders{server, "key"};
  std::vector<Contenders::Contender> waiting;
  for (const std::string name : {"Ann", "Ben", "Cid"}) {
    Options options = sleepy;
    options.fencing = name == "Ben";
    waiting.push_back(contenders.enter(name, options));
    ASSERT_TRUE(eventually(
        limit, [&] { return in_line_and_listening(server, "key") == static_cast<long long>(waiting.size()); }));
  }
  const Inspection seen = look("key", {.deep = true});
  EXPECT_EQ(seen.waiting, 3u);
  EXPECT_EQ(seen.places, 3u);
  ASSERT_THAT(seen.waiters, SizeIs(3));
  for (std::size_t i = 0; i < 3; ++i) {
    const Waiter& waiter = seen.waiters[i];
    EXPECT_EQ(waiter.position, i + 1);
    EXPECT_TRUE(waiter.alive);
    EXPECT_EQ(waiter.connected, true);
    EXPECT_EQ(waiter.wants_token, i == 1);
    EXPECT_LE(waiter.waiting_since, seen.seen_at);
    EXPECT_GT(waiter.waiting_since, seen.seen_at - 10 * limit);
    ASSERT_TRUE(waiter.client);
    EXPECT_EQ(waiter.client->pid, waiting[i].process().pid());
  }
  EXPECT_LT(seen.waiters[0].waiting_since, seen.waiters[1].waiting_since);

  waiting[0].process().kill(SIGKILL);
  EXPECT_TRUE(eventually(limit, [&] { return look().waiters.at(0).connected == false; }));
  const Inspection after = look("key", {.deep = true});
  EXPECT_TRUE(after.waiters.at(0).alive);
  EXPECT_FALSE(after.waiters.at(0).client);
  EXPECT_EQ(after.waiters.at(1).connected, true);

  lock.release();
  EXPECT_EQ(contenders.next_inside().who, "Ben");
  waiting[1].leave();
  EXPECT_EQ(contenders.next_inside().who, "Cid");
  waiting[2].leave();
  EXPECT_EQ(waiting[2].process().wait(limit), exited(0));
  server.command({"DEL", "redismutex:floor:{key}", "redismutex:{key}"});  // Ann counts as alive for long
}

// The dead have places, and do not count as waiting. Rubbish is counted, and hides nobody.
TEST_F(Operate, SeesTheDeadAndRubbish) {
  const std::string line = "redismutex:{key}", now = server_time_us();
  server.command({"ZADD", line, now, dead_id + "0-", "5000000000000000", dead_id});
  server.command({"ZADD", line, "1", "", "2", std::string(100'000, 'x'), "3", foreign_id + "0-"});
  server.command({"ZADD", line, "-inf", "low", "+inf", "high"});
  const Inspection seen = look();
  EXPECT_EQ(seen.state, State::free);
  EXPECT_EQ(seen.places, 5u);
  EXPECT_EQ(seen.waiting, 1u) << "whatever stands so high";
  EXPECT_EQ(seen.unreadable, 3u);
  ASSERT_THAT(seen.waiters, SizeIs(2));
  EXPECT_EQ(seen.waiters[0].id, foreign_id);
  EXPECT_FALSE(seen.waiters[0].alive);
  EXPECT_EQ(seen.waiters[1].id, dead_id);
  EXPECT_FALSE(seen.waiters[1].alive);
  EXPECT_FALSE(seen.waiters[1].connected.has_value());
  EXPECT_EQ(seen.waiters[1].waiting_since, WallTime{std::chrono::microseconds{std::stoll(now)}});
  EXPECT_EQ(server.command({"ZCARD", line}).integer, 7) << "looking changes nothing";
  server.command({"DEL", line});

  server.command({"SET", line, "not ours"});
  EXPECT_TRUE(look().line_is_broken);
  EXPECT_TRUE(server.exists(line));
  server.command({"DEL", line});
}

// Which are dead is told of few and of many of them.
TEST_F(Operate, TellsTheDeadFromTheLiving) {
  constexpr int places = 100;
  for (const int dead : {0, 1, 63, 64, 99, 100}) {
    const auto now = std::stoll(server_time_us());
    for (int i = 0; i < places; ++i) {
      const std::string id = "00000a12-3401-4234-9234-567890abc" + std::to_string(100 + i);
      const auto life = 4'000'000'000'000'000 + now + (i < dead ? -1 : 60'000'000);
      server.command({"ZADD", "redismutex:{key}", std::to_string(now + i), id + "0-", std::to_string(life), id});
    }
    const Inspection seen = look("key", {.waiters = places});
    EXPECT_EQ(seen.waiting, static_cast<std::size_t>(places - dead));
    ASSERT_THAT(seen.waiters, SizeIs(places));
    const auto alive =
        std::count_if(seen.waiters.begin(), seen.waiters.end(), [](const Waiter& waiter) { return waiter.alive; });
    EXPECT_EQ(alive, places - dead);
    EXPECT_EQ(seen.waiters.front().alive, dead == 0);
    server.command({"DEL", "redismutex:{key}"});
  }
}

// A long line is told in pages; one beyond the end is empty.
TEST_F(Operate, TellsALongLineInPages) {
  const std::string line = "redismutex:{key}";
  constexpr std::size_t count = 250;
  const std::string life = std::to_string(4'000'000'000'000'000 + std::stoll(server_time_us()) + 60'000'000);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string id = "00000a12-3401-4234-9234-567890abc" + std::to_string(100 + i);
    server.command({"ZADD", line, std::to_string(1'000'000 + i), id + "0-", life, id});
  }
  std::set<std::string> ids;
  for (std::size_t offset = 0; offset < count; offset += 100) {
    const Inspection page = look("key", {.waiters = 100, .offset = offset});
    EXPECT_EQ(page.waiting, count);
    EXPECT_EQ(page.places, count);
    ASSERT_THAT(page.waiters, SizeIs(std::min<std::size_t>(100, count - offset)));
    EXPECT_EQ(page.waiters.front().position, offset + 1);
    EXPECT_EQ(page.waiters.back().position, offset + page.waiters.size());
    for (const Waiter& waiter : page.waiters) ids.insert(waiter.id);
  }
  EXPECT_THAT(ids, SizeIs(count));
  EXPECT_THAT(look("key", {.waiters = 100, .offset = count}).waiters, IsEmpty());
  EXPECT_THAT(look("key", {.waiters = 0}).waiters, IsEmpty());
  EXPECT_EQ(look("key", {.waiters = 0}).waiting, count);
  server.command({"DEL", line});
}

// ---- many -----------------------------------------------------------------------------------------------------------

// Many keys are looked at in their order, whatever stands at each.
TEST_F(Operate, LooksAtManyKeys) {
  const RedisMutex mutex{connection, non_blocking};
  std::vector<Lock> locks;
  std::vector<std::string> keys;
  for (int i = 0; i < 200; ++i) {
    keys.push_back((i % 3 == 0 ? "{key}" : i % 3 == 1 ? "key" : "}key") + std::to_string(i));
    if (i % 2 == 0) locks.push_back(mutex.acquire_lock(keys.back()));
  }
  server.command({"RPUSH", "list", "a"});
  keys.emplace_back("list");
  const auto all = inspect(operators, keys, {.deep = true});  // without, Redis 6.0 does not tell of clients
  ASSERT_THAT(all, SizeIs(201));
  for (std::size_t i = 0; i < 200; ++i) {
    EXPECT_EQ(all[i].key, keys[i]);
    EXPECT_EQ(all[i].state, i % 2 == 0 ? State::held : State::free);
    if (i % 2 != 0) continue;
    EXPECT_EQ(all[i].value, locks[i / 2].value());
    EXPECT_TRUE(all[i].client);
  }
  EXPECT_EQ(all.back().state, State::not_a_lock);
  EXPECT_THAT(inspect(operators, std::vector<std::string>{}), IsEmpty());
  server.command({"DEL", "list"});
}

struct Scanned {
  std::vector<std::string> keys;
  ScanProgress end;
};

Scanned scan_all(const Connection& connection, const ScanOptions& options) {
  Scanned scanned;
  scanned.end = scan(connection, options, [&](const Inspection& seen) {
    scanned.keys.push_back(seen.key);
    return true;
  });
  std::sort(scanned.keys.begin(), scanned.keys.end());
  return scanned;
}

// A thousand locks among 20,000 keys are found by a pattern, each once, and nothing else.
TEST_F(Operate, FindsLocksAmongOtherKeys) {
  std::string fill = "for i = 1, 17000 do redis.call('SET', 'cache:' .. i, string.rep('x', i % 100)) end ";
  fill += "for i = 1, 1000 do redis.call('SET', 'cache:uuid-like:' .. i, string.rep('x', 36)) end ";
  fill += "for i = 1, 1000 do redis.call('HSET', 'lock:hash:' .. i, 'a', 'b') end return 1";
  ASSERT_EQ(server.command({"EVAL", fill, "0"}).integer, 1);
  std::vector<Lock> locks;
  std::vector<std::string> names;
  const RedisMutex mutex{connection, non_blocking};
  for (int i = 0; i < 1000; ++i) {
    names.push_back("lock:" + std::to_string(i));
    locks.push_back(mutex.acquire_lock(names.back()));
  }
  std::sort(names.begin(), names.end());

  std::size_t told = 0;
  const Scanned by_pattern =
      scan_all(operators, {.pattern = "lock:*", .duty = 1, .progress = [&](const ScanProgress& so_far) {
                             EXPECT_GE(so_far.found, told);
                             told = so_far.found;
                           }});
  EXPECT_EQ(by_pattern.keys, names);
  EXPECT_EQ(told, 1000u);
  EXPECT_EQ(by_pattern.end.found, 1000u);
  EXPECT_TRUE(by_pattern.end.complete);
  EXPECT_EQ(by_pattern.end.total, 20'000u);
  EXPECT_LE(by_pattern.end.scanned, 20'000u);
  EXPECT_EQ(scan_all(operators, {.all = true, .count = 1000, .duty = 1}).keys, names);
  EXPECT_THAT(scan_all(operators, {.count = 1000, .duty = 1}).keys, IsEmpty()) << "nobody waits, and none has a label";
  server.command({"FLUSHALL"});
}

// Without a pattern: what somebody waits for and what has a label, whatever the key; not what only a floor is left of.
TEST_F(Operate, FindsWhatIsWaitedForAndWhatHasALabel) {
  std::vector<Lock> locks;
  std::vector<std::future<void>> waiting;
  const RedisMutex mutex{connection, non_blocking};
  for (const std::string key : {"plain", "{tagged}:1", "odd}"}) {
    locks.push_back(mutex.acquire_lock(key));
    waiting.push_back(std::async(std::launch::async, [this, key] {
      RedisMutex{Connection{server.url()}, patient}.acquire_lock(key).release();
    }));
    ASSERT_TRUE(eventually(limit, [&] { return look(key).waiting == 1; }));
  }
  locks.push_back(mutex.acquire_lock("labelled"));
  locks.push_back(mutex.acquire_lock("alone"));
  server.command({"SET", "redismutex:about:{labelled}", "1 " + locks[3].value() + " 1 1 0 x", "PX", "30000"});
  server.command({"SET", "redismutex:about:{left over}", "1 " + locks[3].value() + " 1 1 0 x", "PX", "30000"});
  server.command({"SET", "redismutex:floor:{of nobody}", "7", "PX", "60000"});
  server.command({"SET", "redismutex:{", "of no shape"});

  EXPECT_THAT(scan_all(operators, {}).keys, ElementsAre("labelled", "odd}", "plain", "{tagged}:1"));
  EXPECT_THAT(scan_all(operators, {.all = true}).keys, ElementsAre("alone", "labelled", "odd}", "plain", "{tagged}:1"));
  EXPECT_THAT(scan_all(operators, {.pattern = "*al*"}).keys, ElementsAre("alone"));
  scan(operators, {.pattern = "plain", .inspect = {.waiters = 1, .deep = true}}, [](const Inspection& seen) {
    EXPECT_EQ(seen.waiting, 1u);
    EXPECT_THAT(seen.waiters, SizeIs(1));
    EXPECT_TRUE(seen.client);
    return true;
  });
  locks.clear();
  for (auto& each : waiting) each.get();
  for (const std::string name : {"about:{labelled}", "about:{left over}", "floor:{of nobody}", "{"}) {
    server.command({"DEL", "redismutex:" + name});
  }
}

// The caller ends it: by what `found` returns, by throwing, or by the stop_token, also while it rests.
TEST_F(Operate, ASearchEndsWhenTheCallerSaysSo) {
  std::vector<Lock> locks;
  const RedisMutex mutex{connection, non_blocking};
  for (int i = 0; i < 20; ++i) locks.push_back(mutex.acquire_lock("lock:" + std::to_string(i)));
  const ScanProgress first = scan(operators, {.pattern = "*"}, [](const Inspection&) { return false; });
  EXPECT_EQ(first.found, 1u);
  EXPECT_FALSE(first.complete);
  EXPECT_THROW(scan(operators, {.pattern = "*"}, [](const Inspection&) -> bool { throw std::runtime_error{"enough"}; }),
               std::runtime_error);

  std::stop_source stop;
  const ScanOptions slow{.pattern = "*",
                         .count = 1,
                         .duty = 1e-6,
                         .progress = [&](const ScanProgress&) { stop.request_stop(); },
                         .stop = stop.get_token()};
  const ScanProgress stopped = scan(operators, slow, [](const Inspection&) { return true; });
  EXPECT_FALSE(stopped.complete);
}

// ---- breaking -------------------------------------------------------------------------------------------------------

// The next in line is inside afterwards, and the old holder is told that it has lost the lock.
TEST_F(Operate, BreaksALockForTheNextInLine) {
  Options kept = patient;
  kept.auto_renew = true;
  auto lock = RedisMutex{connection, kept}.acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  Contenders contenders{server, "key"};
  const auto next = contenders.enter("next", sleepy);
  ASSERT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 1; }));

  const Inspection seen = look();
  EXPECT_EQ(break_lock(operators, "key", seen.value), Broken::broken);
  EXPECT_EQ(contenders.next_inside().who, "next");
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_THROW(lock.release(), MutexUnlockError);
  EXPECT_EQ(break_lock(operators, "key", seen.value), Broken::changed_hands);
  EXPECT_EQ(look().waiting, 0u);
  next.leave();
  EXPECT_EQ(next.process().wait(limit), exited(0));
  EXPECT_EQ(break_lock(operators, "key", seen.value), Broken::free);
}

// Of what comes by the holder's own connection the server tells nobody.
TEST_F(Operate, TellsAHolderWhoseLockItsOwnConnectionBreaks) {
  Options kept = non_blocking;
  kept.auto_renew = true;
  const auto lock = RedisMutex{connection, kept}.acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(break_lock(connection, "key", lock.value()), Broken::broken);
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - began, *kept.expiry / 6) << "before it is renewed";
}

// Without anybody in line the lock is free; also that of a program of another kind, if its value is a UUID.
TEST_F(Operate, BreaksALockForNobody) {
  auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  EXPECT_EQ(break_lock(operators, "key", lock.value()), Broken::broken);
  EXPECT_EQ(look().state, State::free);
  EXPECT_THROW(lock.release(), MutexUnlockError);
  server.command({"SET", "key", foreign_id, "NX", "PX", "30000"});
  EXPECT_EQ(break_lock(operators, "key", foreign_id), Broken::broken);
  EXPECT_FALSE(server.exists("key"));
}

// Nobody but the one with that id loses anything.
TEST_F(Operate, BreaksNobodyElsesLock) {
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  EXPECT_EQ(break_lock(operators, "key", foreign_id), Broken::changed_hands);
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_EQ(server.get("key"), lock.value());
  EXPECT_EQ(break_lock(operators, "another", foreign_id), Broken::free);
  server.command({"RPUSH", "list", "a"});
  EXPECT_THAT(thrown<ServerError>([&] { return break_lock(operators, "list", foreign_id); }).what(),
              AllOf(HasSubstr("break lock 'list'"), HasSubstr("something else than a lock")));
  server.command({"DEL", "list"});
}

// Many dead waiters do not keep the living from getting a lock that is broken.
TEST_F(Operate, BreaksALockWithManyDeadInLine) {
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  for (int i = 0; i < 200; ++i) {
    const std::string id = "00000a12-3401-4234-9234-567890abc" + std::to_string(100 + i);
    server.command({"ZADD", "redismutex:{key}", std::to_string(1 + i), id + "0-", "4000000000000001", id});
  }
  EXPECT_EQ(break_lock(operators, "key", lock.value()), Broken::broken);
  EXPECT_EQ(look().state, State::free);
  EXPECT_EQ(look().places, 0u);
}

// A place that is taken out of the line is gone: that waiter lines up again, behind the others. One that has got the lock meanwhile
// loses it.
TEST_F(Operate, TakesAPlaceOutOfTheLine) {
  auto lock = RedisMutex{connection, patient}.acquire_lock("key");
  Contenders contenders{server, "key"};
  const auto ann = contenders.enter("Ann");
  ASSERT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 1; }));
  const auto ben = contenders.enter("Ben", sleepy);
  ASSERT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 2; }));
  const Waiter anns = look().waiters.at(0), bens = look().waiters.at(1);
  EXPECT_FALSE(break_waiter(operators, "key", anns));
  EXPECT_TRUE(eventually(limit, [&] { return look().waiting == 2; }));
  EXPECT_EQ(look().waiters.at(0).id, bens.id);
  EXPECT_EQ(server.get("key"), lock.value());
  lock.release();
  EXPECT_EQ(contenders.next_inside().who, "Ben");
  EXPECT_TRUE(break_waiter(operators, "key", bens));
  EXPECT_EQ(contenders.next_inside().who, "Ann");
  EXPECT_FALSE(break_waiter(operators, "key", bens)) << "it has nothing any more";
  ann.leave();
  EXPECT_EQ(ann.process().wait(limit), exited(0));
  ben.leave();
  EXPECT_NE(ben.process().wait(limit), exited(0)) << "its lock was lost";
}

// By the connection of the one that has got it, of which the server tells nobody.
TEST_F(Operate, TellsAHolderThatItsOwnConnectionTakesForAWaiter) {
  Options kept = patient;
  kept.auto_renew = true;
  auto first = RedisMutex{operators, patient}.acquire_lock("key");
  std::optional<Lock> lock;
  std::jthread waiter{[&] { lock.emplace(RedisMutex{connection, kept}.acquire_lock("key")); }};
  ASSERT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 1; }));
  const Waiter place = look().waiters.at(0);
  first.release();
  waiter.join();
  const std::stop_token lost = lock->lost_token();
  ASSERT_TRUE(eventually(limit, [&] { return lock->lease_ends_in() > 2s; })) << "it is watched from then on";
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(break_waiter(connection, "key", place));
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - began, *kept.expiry / 6) << "before it is renewed";
}

// ---- what is refused ------------------------------------------------------------------------------------------------

// Bad arguments are named before anything is sent.
TEST(OperateWithoutServer, RefusesBadArguments) {
  const Connection nowhere{"unix:///nowhere/at/all"};
  for (const std::string key : {"", "redismutex:{key}"}) {
    EXPECT_THROW(inspect(nowhere, key), std::invalid_argument);
    EXPECT_THROW(inspect(nowhere, std::vector<std::string>{"good", key}), std::invalid_argument);
    EXPECT_THROW(break_lock(nowhere, key, foreign_id), std::invalid_argument);
    EXPECT_THROW(break_waiter(nowhere, key, Waiter{.id = foreign_id}), std::invalid_argument);
  }
  EXPECT_THAT(thrown<std::invalid_argument>([&] { return inspect(nowhere, "key", {.waiters = 101}); }).what(),
              AllOf(HasSubstr("InspectOptions::waiters is 101"), HasSubstr("at most 100")));
  const auto any = [](const Inspection&) { return true; };
  EXPECT_THROW(scan(nowhere, {.count = 0}, any), std::invalid_argument);
  EXPECT_THROW(scan(nowhere, {.count = 1001}, any), std::invalid_argument);
  EXPECT_THROW(scan(nowhere, {.duty = 0}, any), std::invalid_argument);
  EXPECT_THROW(scan(nowhere, {.duty = 1.1}, any), std::invalid_argument);
  EXPECT_THROW(scan(nowhere, {.inspect = {.waiters = 101}}, any), std::invalid_argument);
  EXPECT_THROW(scan(nowhere, {}, {}), std::invalid_argument);
  for (const std::string id :
       {"", "x", "0b5c7b9e-3c1d-1a57-9d0e-6f2a8c4e1b73", "0B5C7B9E-3C1D-4A57-9D0E-6F2A8C4E1B73"}) {
    EXPECT_THAT(thrown<std::invalid_argument>([&] { return break_lock(nowhere, "key", id); }).what(),
                HasSubstr("is no owner's"));
  }
}

// A server that can not be reached is an error that names it.
TEST(OperateWithoutServer, NamesTheServer) {
  const Connection nowhere{"unix:///nowhere/at/all"};
  EXPECT_THAT(thrown<ConnectionError>([&] { return inspect(nowhere, "key"); }).what(),
              AllOf(HasSubstr("inspect lock 'key'"), HasSubstr("/nowhere/at/all")));
  EXPECT_THROW(scan(nowhere, {}, [](const Inspection&) { return true; }), ConnectionError);
  EXPECT_THROW(break_lock(nowhere, "key", foreign_id), ConnectionError);
}

constexpr auto rights_to_look =
    " -@all ~* +hello +ping +evalsha +script|load +time +type +pttl +strlen +getrange +exists +zcount +zrangebyscore "
    "+zscore";

// A right that is missing leaves out what needs it, and is named.
TEST_F(Operate, DoesWithoutRights) {
  add_user(server, "few", rights_to_look);
  add_user(server, "more", rights_to_look + asking(server) + " +client|list");
  const auto as = [&](const std::string& user) {
    return Connection{"unix://" + user + ":secret@" + server.socket_path()};
  };
  auto lock = RedisMutex{connection, patient}.acquire_lock("key");
  Contenders contenders{server, "key"};
  const auto ann = contenders.enter("Ann", sleepy);
  ASSERT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 1; }));

  const Inspection few = inspect(as("few"), "key");
  EXPECT_EQ(few.state, State::held);
  EXPECT_FALSE(few.client);
  EXPECT_FALSE(few.connected.has_value());
  ASSERT_THAT(few.waiters, SizeIs(1));
  EXPECT_TRUE(few.waiters[0].alive);
  EXPECT_FALSE(few.waiters[0].connected.has_value());
  EXPECT_THAT(few.missing_rights, UnorderedElementsAre(asking(server).substr(1), "+client|list"));

  const Inspection more = inspect(as("more"), "key");
  EXPECT_THAT(more.missing_rights, IsEmpty());
  EXPECT_EQ(more.waiters.at(0).connected, true);
  const Connection again = as("more");
  cut_connections();
  connection.ping();
  EXPECT_THAT(inspect(again, "key", {.deep = true}).missing_rights, Contains("+info"));

  // What can not be done without is an error that names it.
  add_user(server, "none", " -@all ~* +hello +ping");
  EXPECT_EQ(thrown<ServerError>([&] { return inspect(as("none"), "key"); }).reason(),
            ServerError::Reason::no_permission);
  EXPECT_EQ(thrown<ServerError>([&] { return scan(as("few"), {}, [](const Inspection&) { return true; }); }).reason(),
            ServerError::Reason::no_permission);
  EXPECT_EQ(thrown<ServerError>([&] { return break_lock(as("few"), "key", lock.value()); }).reason(),
            ServerError::Reason::no_permission);
  EXPECT_TRUE(server.exists("key"));
  lock.release();
  contenders.next_inside();
  ann.leave();
  EXPECT_EQ(ann.process().wait(limit), exited(0));
}

// Where the server has a command that can not write, it is used; else the script goes by the usual one. What lock users load has no part
// of it.
TEST_F(Operate, LooksByACommandThatCanNotWrite) {
  server.command({"CONFIG", "RESETSTAT"});
  look();
  look();
  auto calls = server.command_calls();
  const bool has_read_only = server.version() >= Version{7, 0, 0};
  EXPECT_EQ(calls[has_read_only ? "evalsha_ro" : "evalsha"], 3) << "the first time it is not known";
  EXPECT_EQ(calls["script|load"] + calls["script"], 1);
  RedisMutex{connection, patient}.try_acquire_lock_for("key", 1s)->release();
}

// ---- the server itself ----------------------------------------------------------------------------------------------

TEST_F(Operate, AsksTheServerAboutItself) {
  const auto asked = [&](const std::vector<std::string>& question) { return ask(operators, question); };
  EXPECT_EQ(asked({"PING"}).text, "PONG");
  EXPECT_GT(asked({"PING"}).round_trip, 0ns);
  EXPECT_EQ(asked({"DBSIZE"}).text, "0");
  EXPECT_THAT(asked({"CONFIG", "GET", "timeout"}).list, ElementsAre("timeout", "0"));
  EXPECT_THAT(asked({"TIME"}).list, SizeIs(2));
  EXPECT_THAT(asked({"TIME"}).text, IsEmpty());
  const auto refused = asked({"CONFIG", "GET"});
  EXPECT_TRUE(refused.refused);
  EXPECT_THAT(refused.text, HasSubstr("wrong number of arguments"));
}

TEST_F(Operate, AsksNothingThatChangesTheServer) {
  for (const std::vector<std::string>& question : {std::vector<std::string>{},
                                                   {"SET", "k", "v"},
                                                   {"CONFIG", "SET", "timeout", "1"},
                                                   {"CONFIG"},
                                                   {"CLIENT", "KILL", "x"},
                                                   {"ping"},
                                                   {"INFO"},
                                                   {"PING", std::string(5000, 'x')},
                                                   std::vector<std::string>(65, "PING")}) {
    EXPECT_THROW(ask(operators, question), std::invalid_argument);
  }
  EXPECT_THAT(server.keys(), IsEmpty());
}

}  // namespace
}  // namespace redismutex::testing
