// ConnectionOptions::credentials: asked for the present password whenever a connection is made, in a thread that holds nobody up
// for longer than the time limits say.

#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "sentences.hpp"
#include "stopwatch.hpp"
#include "support/certificates.hpp"
#include "support/descriptors.hpp"
#include "support/process.hpp"
#include "support/sanitizers.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Timeouts short_to_log_in{.connect = 200ms, .command = limit};

/// Where the passwords are kept: what the provider returns, and how often it was asked.
class Vault {
 public:
  explicit Vault(Credentials present) : present_{std::move(present)} {}

  Credentials ask() {
    ++asked;
    const std::lock_guard lock{mutex_};
    return present_;
  }

  void change(Credentials to) {
    const std::lock_guard lock{mutex_};
    present_ = std::move(to);
  }

  std::atomic<int> asked{0};

 private:
  std::mutex mutex_;
  Credentials present_;
};

/// Something that a provider waits at.
class Gate {
 public:
  void pass() {
    arrived = true;
    open_.wait(false);
  }
  void open() {
    open_ = true;
    open_.notify_all();
  }

  std::atomic<bool> arrived{false};

 private:
  std::atomic<bool> open_{false};
};

struct SuppliedCredentials : ::testing::Test {
  Connection connection_asking(std::function<Credentials()> credentials, Timeouts timeouts = long_timeouts) const {
    return Connection{with(timeouts, {.unix_socket = server.socket_path(), .credentials = std::move(credentials)})};
  }

  std::function<Credentials()> from_vault() const {
    return [kept = vault] { return kept->ask(); };
  }

  void kill_clients() { server.command({"CLIENT", "KILL", "TYPE", "normal"}); }

  /// What ping() says that fails with exactly this type of error.
  template <class Exception>
  static std::string refusal(const Connection& connection) {
    return thrown<Exception>([&] {
             connection.ping();
             return 0;
           })
        .what();
  }

  Server server{{.password = "not-ours", .users = {"alice on >first ~* &* +@all"}}};
  const std::shared_ptr<Vault> vault = std::make_shared<Vault>(Credentials{"alice", "first"});
};

// Once for each connection that is made, and never where no server is reached.
TEST_F(SuppliedCredentials, AreAskedForOnceAConnection) {
  const Connection connection = connection_asking(from_vault());
  EXPECT_EQ(vault->asked, 0);
  for (int i = 0; i < 10; ++i) connection.ping();
  EXPECT_EQ(vault->asked, 1);
  kill_clients();
  for (int i = 0; i < 10; ++i) connection.ping();
  EXPECT_EQ(vault->asked, 2);

  const Connection nowhere{{.unix_socket = "/no/such/socket", .credentials = from_vault()}};
  for (int i = 0; i < 3; ++i) refusal<ConnectionError>(nowhere);
  EXPECT_EQ(vault->asked, 2);
}

// There may be two connections to one server, and both may be dialled at a time.
TEST_F(SuppliedCredentials, AreAskedForByOneConnectionAtATime) {
  struct Calls {
    std::atomic<int> asked{0}, inside{0};
    std::atomic<bool> overlapped{false};
  };
  const auto calls = std::make_shared<Calls>();
  const Connection connection = connection_asking([calls] {
    if (++calls->inside > 1) calls->overlapped = true;
    // The second time another one has the time to come.
    if (++calls->asked == 2) eventually(500ms, [&] { return calls->inside > 1; });
    --calls->inside;
    return Credentials{"alice", "first"};
  });
  connection.ping();
  // The replicas are asked about on a connection of its own. There are none.
  const auto refused = std::async(std::launch::async, [&] {
    const RedisMutex mutex{connection, {.block_time = 200ms, .expiry = limit, .replicas = 1}};
    EXPECT_THROW(mutex.acquire_lock("key"), Error);
  });
  EXPECT_TRUE(eventually(limit, [&] { return calls->asked == 2; }));
  kill_clients();
  connection.ping();
  refused.wait();
  EXPECT_GE(calls->asked, 3);
  EXPECT_FALSE(calls->overlapped);
}

// The server's passwords change, one user's and the default user's, and all connections are cut. A process that is at work does
// not notice: no operation fails, and what is held is kept.
TEST_F(SuppliedCredentials, MayChangeWhileAProcessGoesOn) {
  const auto run = [&](const std::string& user, const std::function<void(const std::string& password)>& rotate) {
    SCOPED_TRACE(user);
    const Connection connection = connection_asking(from_vault());
    const RedisMutex mutex{connection, patient};
    std::atomic<bool> over{false};
    std::atomic<int> turns{0};
    auto held = RedisMutex{connection, {.expiry = limit, .auto_renew = true}}.acquire_lock("held");
    std::vector<std::future<void>> workers;
    for (int i = 0; i < 4; ++i) {
      workers.push_back(std::async(std::launch::async, [&, key = "key " + std::to_string(i)] {
        for (; !over; ++turns) {
          const auto lock = mutex.acquire_lock(key);  // its release may meet the cut
        }
      }));
    }
    for (int round = 1; round <= 5; ++round) {
      const std::string password = "number " + std::to_string(round);
      vault->change({user, password});
      rotate(password);
      kill_clients();
      const int before = turns;
      EXPECT_TRUE(eventually(limit, [&] { return turns > before + 20; }));
    }
    over = true;
    for (auto& worker : workers) worker.get();
    held.extend();
    held.release();
  };
  run("alice", [&](const std::string& password) {
    server.command({"ACL", "SETUSER", "alice", "resetpass", ">" + password});
  });
  server.command({"CONFIG", "SET", "requirepass", "at first"});
  vault->change({"", "at first"});
  run("", [&](const std::string& password) { server.command({"CONFIG", "SET", "requirepass", password}); });
}

// What the server refuses is a LoginError for whoever asked, at once and also for those who may wait. It says where the
// credentials came from, and shows none. The next operation asks again.
TEST_F(SuppliedCredentials, ThatAreRefusedAreAskedForAgain) {
  vault->change({"alice", "s3cret-of-yesterday"});
  const Connection connection = connection_asking(from_vault());
  const RedisMutex mutex{connection, patient};
  const auto expected =
      AllOf(HasSubstr("WRONGPASS"), HasSubstr("ConnectionOptions::credentials"), Not(HasSubstr("yesterday")));
  EXPECT_THAT(thrown<LoginError>([&] { return mutex.acquire_lock("key"); }).what(), expected);
  EXPECT_EQ(vault->asked, 1);
  EXPECT_THAT(refusal<LoginError>(connection), expected);
  EXPECT_EQ(vault->asked, 2);
  vault->change({"", ""});
  EXPECT_THAT(refusal<LoginError>(connection),
              AllOf(HasSubstr("NOAUTH"), HasSubstr("credentials returned neither user nor password")));
  vault->change({"alice", "first"});
  EXPECT_TRUE(mutex.acquire_lock("key"));
}

// What is thrown is told, and heals with the next call.
TEST_F(SuppliedCredentials, ThatCanNotBeHad) {
  const auto calls = std::make_shared<std::atomic<int>>(0);
  const Connection connection = connection_asking([calls]() -> Credentials {
    switch (++*calls) {
      case 1: throw std::runtime_error{"the vault is\nsealed"};
      case 2: throw 7;
      case 3: throw std::bad_alloc{};
      default: return {"alice", "first"};
    }
  });
  EXPECT_THAT(refusal<LoginError>(connection), HasSubstr("ConnectionOptions::credentials: the vault is\\nsealed"));
  EXPECT_THAT(refusal<LoginError>(connection), HasSubstr("ConnectionOptions::credentials: unknown exception"));
  EXPECT_THAT(refusal<LoginError>(connection), HasSubstr("ConnectionOptions::credentials: std::bad_alloc"));
  connection.ping();
  EXPECT_EQ(*calls, 4);
}

// Whoever waits for them waits no longer than connect_timeout, and is told what it waited for. They are not asked for a second
// time while the first one runs. (That its result is used: ThatTakeLongerThanACallerHas.)
TEST_F(SuppliedCredentials, ThatTakeTooLong) {
  const auto gate = std::make_shared<Gate>();
  const Connection connection = connection_asking(
      [gate, kept = vault] {
        const Credentials present = kept->ask();
        gate->pass();
        return present;
      },
      short_to_log_in);
  for (int i = 0; i < 3; ++i) {
    const Stopwatch watch;
    EXPECT_THAT(refusal<ConnectionError>(connection), HasSubstr("ConnectionOptions::credentials has not returned"));
    EXPECT_GE(watch.elapsed_ms(), short_to_log_in.connect.count() - 1);
    EXPECT_LT(watch.elapsed_ms(), limit.count());
  }
  EXPECT_EQ(vault->asked, 1);
  gate->open();
  EXPECT_TRUE(eventually(limit, [&] {
    try {
      connection.ping();
      return true;
    } catch (const ConnectionError&) {
      return false;
    }
  }));
}

// Each caller has less time than it takes; and a stop_token is heeded meanwhile.
TEST_F(SuppliedCredentials, ThatTakeLongerThanACallerHas) {
  const auto gate = std::make_shared<Gate>();
  const Connection connection = connection_asking([gate, kept = vault] {
    gate->pass();
    return kept->ask();
  });
  const RedisMutex mutex{connection, patient};
  for (int i = 0; i < 5; ++i) {
    thrown<ConnectionError>([&] { return mutex.try_acquire_lock_for("key", 20ms); });
  }
  std::stop_source stop;
  auto stopped = std::async(
      std::launch::async, [&] { thrown<LockCancelled>([&] { return mutex.acquire_lock("key", stop.get_token()); }); });
  EXPECT_EQ(stopped.wait_for(20ms), std::future_status::timeout);
  stop.request_stop();
  stopped.get();
  gate->open();
  EXPECT_TRUE(mutex.acquire_lock("key"));
  EXPECT_EQ(vault->asked, 1);
}

// The Connection ends at once, whatever the function waits for; what that stands on goes when it returns.
TEST_F(SuppliedCredentials, MayBeStuckWhenTheConnectionEnds) {
  auto gate = std::make_shared<Gate>();
  const std::weak_ptr<Gate> watched = gate;
  const auto descriptors = open_descriptors();
  {
    const Connection connection = connection_asking(
        [gate, kept = vault] {
          gate->pass();
          return kept->ask();
        },
        short_to_log_in);
    refusal<ConnectionError>(connection);
    EXPECT_TRUE(gate->arrived);
  }
  EXPECT_EQ(vault->asked, 0);
  gate->open();
  gate.reset();
  EXPECT_TRUE(eventually(limit, [&] { return watched.expired(); }));
  EXPECT_EQ(vault->asked, 1);
  EXPECT_TRUE(eventually(limit, [&] { return open_descriptors() == descriptors; }));
}

// A child asks for itself: also while its parent's call is stuck.
TEST_F(SuppliedCredentials, InAChild) {
  const auto gate = std::make_shared<Gate>();
  const auto parent = ::getpid();
  const Connection connection = connection_asking([gate, parent] {
    if (::getpid() == parent) gate->pass();
    return Credentials{"alice", "first"};
  });
  std::future<void> waiting;
  if (!under_thread_sanitizer) {  // which takes a child's threads for its parent's
    waiting = std::async(std::launch::async, [&] { connection.ping(); });
    EXPECT_TRUE(eventually(limit, [&] { return gate->arrived.load(); }));
  }
  const ChildProcess child([&] {
    connection.ping();
    return 0;
  });
  EXPECT_EQ(child.wait(limit), exited(0)) << child.stderr_text();
  gate->open();
  if (waiting.valid()) waiting.get();
}

// What they are is nobody's business: not the server's name, not the log's.
TEST_F(SuppliedCredentials, AreShownNowhere) {
  vault->change({"alice", "s3cret-of-ours"});
  const auto told = std::make_shared<Sentences>();
  ConnectionOptions options = with(
      short_to_log_in, {.unix_socket = server.socket_path(), .log = written_to(told), .credentials = from_vault()});
  const Connection connection{options};
  told->say(refusal<LoginError>(connection));
  server.command({"ACL", "SETUSER", "alice", "resetpass", ">s3cret-of-ours"});
  auto lock = RedisMutex{connection, patient}.acquire_lock("key");
  lock.release();
  server.kill();
  told->say(refusal<ConnectionError>(connection));
  EXPECT_THAT(told->all(), Each(Not(HasSubstr("s3cret-of-ours"))));
}

// They are for TLS as for anything else, and asked for when the certificate has been accepted.
TEST(SuppliedCredentialsOverTls, AreAskedForBehindTheHandshake) {
  const Certificates certificates;
  const Server server({.users = {"alice on >first ~* &* +@all"}, .tls = certificates.tls(certificates.server())});
  const auto vault = std::make_shared<Vault>(Credentials{"alice", "first"});
  ConnectionOptions options = with(long_timeouts, {.host = "localhost", .port = server.tls_port()});
  options.credentials = [vault] { return vault->ask(); };
  options.tls = {.ca_file = certificates.other_ca_file()};
  thrown<ConnectionError>([&] {
    Connection{options}.ping();
    return 0;
  });
  EXPECT_EQ(vault->asked, 0);
  options.tls = {.ca_file = certificates.ca_file()};
  Connection{options}.ping();
  EXPECT_EQ(vault->asked, 1);
}

}  // namespace
}  // namespace redismutex::testing
