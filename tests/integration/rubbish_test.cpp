// Other people's things stand where the library keeps who waits and the floor of the tokens; or parts of what it keeps are
// broken, or of a newer version. That costs a waiter its place at most: nobody gets an error, and no lock is lost.

#include <future>
#include <optional>
#include <string>
#include <vector>

#include "contender.hpp"
#include "stopwatch.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

const std::string an_id = "0b5c7b9e-3c1d-4a57-9d0e-6f2a8c4e1b73";
const std::string another_id = "7c1e2f30-9a4b-4d5c-8e6f-a0b1c2d3e4f5";

std::string line_of(const std::string& key) { return "redismutex:{" + key + "}"; }
std::string floor_of(const std::string& key) { return "redismutex:floor:{" + key + "}"; }

/// The score of a life that is over at that moment.
std::string life_until(Server& server, std::chrono::milliseconds from_now) {
  const auto time = server.command({"TIME"}).elements;
  const long long now_us = std::stoll(time.at(0).text) * 1'000'000 + std::stoll(time.at(1).text);
  return std::to_string(4'000'000'000'000'000 + now_us + std::chrono::microseconds{from_now}.count());
}

// ---- something else in place of the line, or the floor --------------------------------------------------------------

/// Something to stand at `name`.
struct Rubbish {
  std::string what;
  std::vector<std::vector<std::string>> (*at)(const std::string& name);
};

const std::vector<Rubbish> rubbish{
    {"String",
     [](const std::string& name) {
       return std::vector<std::vector<std::string>>{{"SET", name, "not ours"}};
     }},
    {"List",
     [](const std::string& name) {
       return std::vector<std::vector<std::string>>{{"RPUSH", name, "a", "b"}};
     }},
    {"Set",
     [](const std::string& name) {
       return std::vector<std::vector<std::string>>{{"SADD", name, "a", "b"}};
     }},
    {"Hash",
     [](const std::string& name) {
       return std::vector<std::vector<std::string>>{{"HSET", name, "first", "a"}};
     }},
    {"Stream",
     [](const std::string& name) {
       return std::vector<std::vector<std::string>>{{"XADD", name, "*", "a", "b"}};
     }},
    {"SortedSet",
     [](const std::string& name) {
       std::vector<std::vector<std::string>> all;
       const auto add = [&](const std::string& score, const std::string& member) {
         all.push_back({"ZADD", name, score, member});
       };
       for (const std::string score :
            {"-inf", "-1", "0", "1", "1700000000000000", "4000000000000000", "9e15", "+inf"}) {
         add(score, "at " + score);
       }
       add("2", "");
       add("3", std::string(1000, 'x'));
       add("4", an_id);                              // a life among the places
       add("5", another_id + "0-");                  // a place without a life
       add("6", an_id + "0");                        // with one, but nothing behind the digit
       add("7", an_id + "0x");                       // of no kind
       add("8", an_id + "0s");                       // of no channel
       add("9", an_id + "4 -");                      // of no claim
       add("10", an_id + "41000");                   // of no mailbox
       add("11", an_id + "4-5 -");                   // of a negative claim
       add("12", an_id + std::string("0p\0\n", 4));  // of a strange one, to which nobody listens
       return all;
     }},
};

/// At once: those that wait write there, too.
void put_at(Server& server, const Rubbish& it, const std::string& name) {
  server.command({"MULTI"});
  server.command({"DEL", name});
  for (const auto& command : it.at(name)) server.command(command);
  const Reply done = server.command({"EXEC"});
  ASSERT_FALSE(done.is_error()) << done.text;
  for (const Reply& reply : done.elements) ASSERT_FALSE(reply.is_error()) << reply.text;
}

void PrintTo(const Rubbish& it, std::ostream* out) { *out << it.what; }

class Rubbished : public ::testing::TestWithParam<Rubbish> {
 protected:
  void put_at(const std::string& name) { testing::put_at(server, GetParam(), name); }

  Server server;
  const Connection connection{server.url()};
  const Connection elsewhere{server.url()};  // as another process
};

// It takes the place of the line and of the floor, again and again: the lock can be taken, waited for, handed over and released
// within a second.
TEST_P(Rubbished, WhileALockIsPassedOn) {
  const Options waiting{.block_time = limit, .expiry = 2 * limit, .fencing = true};
  const RedisMutex mutex{connection, waiting}, other{elsewhere, waiting};
  std::optional<std::uint64_t> token;
  const auto best = best_ms(1000, [&] {
    const Stopwatch watch;
    put_at(line_of("key"));
    put_at(floor_of("key"));
    auto lock = mutex.acquire_lock("key");
    EXPECT_GT(lock.fencing_token(), token);
    put_at(line_of("key"));
    put_at(floor_of("key"));
    const auto members = [&] { return server.command({"ZCARD", line_of("key")}).integer; };  // 0 of another type
    const auto before = members();
    auto next = std::async(std::launch::async, [&] { return other.acquire_lock("key"); });
    EXPECT_TRUE(eventually(limit, [&] { return members() == before + 2; }));
    put_at(floor_of("key"));
    lock.release();
    auto handed = next.get();
    token = handed.fencing_token();
    handed.release();
    return watch.elapsed_ms();
  });
  EXPECT_LE(best, 1000);
}

// It takes the place of a line in which somebody waits: that one lines up again when it looks.
TEST_P(Rubbished, WhileSomebodyWaits) {
  auto lock = RedisMutex{connection, patient}.acquire_lock("key");
  auto next = std::async(std::launch::async, [&] {
    return RedisMutex{elsewhere, patient}.acquire_lock("key").owns_lock();
  });
  ASSERT_TRUE(eventually(limit, [&] { return in_line(server, "key") == 1; }));
  put_at(line_of("key"));
  lock.release();
  EXPECT_TRUE(next.get());
}

// Whoever does not wait is not hindered by it, and leaves it alone or removes it.
TEST_P(Rubbished, WhileNobodyWaits) {
  put_at(line_of("key"));
  put_at(floor_of("key"));
  for (const bool fenced : {false, true}) {
    const RedisMutex mutex{connection, {.blocking = false, .expiry = limit, .fencing = fenced}};
    for (int i = 0; i < 3; ++i) {
      auto lock = mutex.acquire_lock("key");
      lock.extend();
      EXPECT_FALSE(mutex.try_acquire_lock("key"));
      lock.release();
      EXPECT_FALSE(server.exists("key"));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rubbish, Rubbished, ::testing::ValuesIn(rubbish),
                         [](const auto& tested) { return tested.param.what; });

// It takes the place of one line and of one floor of a hundred locks, which are renewed together: none is lost.
TEST(Rubbish, AmongRenewedLocks) {
  constexpr int count = 100;
  Server server;
  const RedisMutex mutex{Connection{server.url()},
                         {.blocking = false, .expiry = 3s, .auto_renew = true, .fencing = true}};
  std::vector<Lock> locks;
  const auto key = [](int i) { return "key " + std::to_string(i); };
  for (int i = 0; i < count; ++i) locks.push_back(mutex.acquire_lock(key(i)));
  const auto renewals = [&] { return server.command_calls()["pexpire"]; };
  for (const Rubbish& kind : rubbish) {
    put_at(server, kind, line_of(key(count / 2)));
    put_at(server, kind, floor_of(key(count / 2 + 1)));
    const auto before = renewals();
    ASSERT_TRUE(eventually(limit, [&] { return renewals() >= before + count; }));
    for (const Lock& lock : locks) EXPECT_TRUE(lock.owns_lock()) << lock.key() << ", " << kind.what;
  }
  for (Lock& lock : locks) EXPECT_NO_THROW(lock.release());
}

// ---- entries of a newer version -------------------------------------------------------------------------------------

struct NewerVersion : WithServer {
  const Connection elsewhere{server.url()};  // as another process
  const RedisMutex mutex{connection, sleepy};
  const RedisMutex other{elsewhere, sleepy};

  std::optional<std::string> score(const std::string& member) {
    const Reply reply = server.command({"ZSCORE", line_of("key"), member});
    return reply.is_nil() ? std::nullopt : std::optional(reply.text);
  }

  /// Somebody waits for the lock that is held, and gets it.
  void take_a_turn() {
    auto lock = mutex.acquire_lock("key");
    const auto before = server.command({"ZCARD", line_of("key")}).integer;
    auto next = std::async(std::launch::async, [&] { return other.acquire_lock("key").owns_lock(); });
    ASSERT_TRUE(eventually(limit, [&] { return server.command({"ZCARD", line_of("key")}).integer == before + 2; }));
    lock.release();
    EXPECT_TRUE(next.get());
  }
};

// They are passed over, and kept until their lives end.
TEST_F(NewerVersion, EntriesArePassedOverAndKept) {
  const std::string eight = an_id + "8 what it likes", nine = another_id + "9";
  for (const auto& [id, place] : {std::pair{an_id, eight}, std::pair{another_id, nine}}) {
    server.command({"ZADD", line_of("key"), "1", place, life_until(server, 4 * limit), id});
  }
  for (int i = 0; i < 3; ++i) {
    take_a_turn();
    for (const std::string& member : {eight, nine, an_id, another_id}) EXPECT_TRUE(score(member)) << member;
    EXPECT_EQ(server.command({"ZCARD", line_of("key")}).integer, 4);
  }
  server.command({"ZADD", line_of("key"), life_until(server, -1ms), an_id});
  take_a_turn();
  EXPECT_FALSE(score(eight));
  EXPECT_FALSE(score(an_id));
  EXPECT_TRUE(score(nine));
  server.command({"ZADD", line_of("key"), life_until(server, -1ms), another_id});
  take_a_turn();
}

// More of them stand in front than one run looks at: the lock is free, and whoever asks for it gets it.
TEST_F(NewerVersion, ManyEntriesDoNotKeepTheLock) {
  std::vector<std::string> members;
  for (int i = 100; i < 200; ++i) {
    const std::string id = an_id.substr(0, 33) + std::to_string(i);
    for (const std::string& part : {std::string{"1"}, id + "8x", life_until(server, 4 * limit), id})
      members.push_back(part);
  }
  members.insert(members.begin(), {"ZADD", line_of("key")});
  server.command(members);
  for (int i = 0; i < 3; ++i) {
    auto lock = mutex.acquire_lock("key");
    EXPECT_EQ(server.get("key"), lock.value());
    lock.release();
    EXPECT_FALSE(server.exists("key"));
  }
  server.command({"DEL", line_of("key")});
}

}  // namespace
}  // namespace redismutex::testing
