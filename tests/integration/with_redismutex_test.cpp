// with_redismutex and WithRedisMutex: any callable, called as it always was, but only by one caller at a time.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include "sentences.hpp"
#include "support/exclusion_witness.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

struct WithRedisMutexTest : WithServer {
  bool held(const std::string& key = "key") { return server.exists(key); }
};

/// How messages name a server.
std::string display(const Server& server) { return "unix://" + server.socket_path(); }

int twice(int number) { return 2 * number; }

// ---- what can be wrapped --------------------------------------------------------------------------------------------

TEST_F(WithRedisMutexTest, WrapsFunctions) {
  auto by_name = with_redismutex(connection, "key", twice);
  auto by_pointer = with_redismutex(connection, std::string("key"), &twice);
  auto by_object = with_redismutex(connection, "key", std::function<int(int)>(twice));
  EXPECT_EQ(by_name(1), 2);
  EXPECT_EQ(by_pointer(2), 4);
  EXPECT_EQ(by_object(3), 6);
}

TEST_F(WithRedisMutexTest, HoldsTheLockWhileTheFunctionRunsAndNotAfter) {
  auto inside = with_redismutex(connection, "key", [&] { return held(); });
  EXPECT_FALSE(held());
  EXPECT_TRUE(inside());
  EXPECT_FALSE(held());
  EXPECT_TRUE(inside()) << "and once more";
}

struct Account {
  int balance = 0;
  int deposit(int amount) { return balance += amount; }
  int read() const { return balance; }
};

TEST_F(WithRedisMutexTest, WrapsMemberFunctions) {
  auto deposit = with_redismutex(connection, "key", &Account::deposit);
  const auto read = with_redismutex(connection, "key", &Account::read);
  const auto balance = with_redismutex(connection, "key", &Account::balance);
  Account account;
  EXPECT_EQ(deposit(account, 5), 5);
  EXPECT_EQ(deposit(&account, 5), 10);
  EXPECT_EQ(read(account), 10);
  EXPECT_EQ(&balance(account), &account.balance);
}

TEST_F(WithRedisMutexTest, WrapsMoveOnlyCallables) {
  auto wrapped = with_redismutex(connection, "key", [number = std::make_unique<int>(7)] { return *number; });
  EXPECT_EQ(wrapped(), 7);
  auto moved = std::move(wrapped);
  EXPECT_EQ(moved(), 7);
  static_assert(!std::is_copy_constructible_v<decltype(moved)>);
}

TEST_F(WithRedisMutexTest, CanBeCopiedIfItsFunctionCan) {
  auto first = with_redismutex(connection, "key", [calls = 0]() mutable { return ++calls; });
  first();
  auto second = first;
  EXPECT_EQ(first(), 2);
  EXPECT_EQ(second(), 2);
}

// A callable with state keeps it from call to call.
TEST_F(WithRedisMutexTest, WrapsMutableCallables) {
  auto count = with_redismutex(connection, "key", [calls = 0]() mutable { return ++calls; });
  EXPECT_EQ(count(), 1);
  EXPECT_EQ(count(), 2);
  static_assert(!std::is_invocable_v<const decltype(count)&>);
}

TEST_F(WithRedisMutexTest, IsConstCallableIfItsFunctionIs) {
  const auto wrapped = with_redismutex(connection, "key", [](int number) { return number + 1; });
  EXPECT_EQ(wrapped(1), 2);
}

// As with std::invoke: the function sees whether it is called through an lvalue, a constant or an rvalue.
TEST_F(WithRedisMutexTest, KeepsTheValueCategoryOfTheCall) {
  struct Callee {
    std::string operator()() & { return "lvalue"; }
    std::string operator()() const& { return "constant"; }
    std::string operator()() && { return "rvalue"; }
  };
  auto wrapped = with_redismutex(connection, "key", Callee{});
  EXPECT_EQ(wrapped(), "lvalue");
  EXPECT_EQ(std::as_const(wrapped)(), "constant");
  EXPECT_EQ(std::move(wrapped)(), "rvalue");
}

// Whether a call is possible can be asked, as of the function itself.
TEST_F(WithRedisMutexTest, IsCallableWithWhatItsFunctionTakes) {
  const auto wrapped = with_redismutex(connection, "key", twice);
  static_assert(std::is_invocable_r_v<int, decltype(wrapped)&, int>);
  static_assert(!std::is_invocable_v<decltype(wrapped)&>);
  static_assert(!std::is_invocable_v<decltype(wrapped)&, std::string>);
}

// ---- arguments and results ------------------------------------------------------------------------------------------

TEST_F(WithRedisMutexTest, ForwardsMoveOnlyArgumentsAndResults) {
  auto pass = with_redismutex(connection, "key", [](std::unique_ptr<int> number) { return number; });
  auto number = std::make_unique<int>(7);
  const auto* address = number.get();
  EXPECT_EQ(pass(std::move(number)).get(), address);
}

TEST_F(WithRedisMutexTest, ReturnsReferencesAsReferences) {
  int number = 1;
  auto pass = with_redismutex(connection, "key", [](int& it) -> int& { return it; });
  auto pass_constant = with_redismutex(connection, "key", [](const int& it) -> const int& { return it; });
  auto pass_rvalue = with_redismutex(connection, "key", [](int&& it) -> int&& { return std::move(it); });
  static_assert(std::is_same_v<decltype(pass(number)), int&>);
  static_assert(std::is_same_v<decltype(pass_constant(number)), const int&>);
  static_assert(std::is_same_v<decltype(pass_rvalue(std::move(number))), int&&>);
  EXPECT_EQ(&pass(number), &number);
  EXPECT_EQ(&pass_constant(number), &number);
  auto&& same = pass_rvalue(std::move(number));
  EXPECT_EQ(&same, &number);
  pass(number) = 5;
  EXPECT_EQ(number, 5);
}

TEST_F(WithRedisMutexTest, ReturnsVoid) {
  bool called = false;
  auto wrapped = with_redismutex(connection, "key", [&] { called = true; });
  static_assert(std::is_void_v<decltype(wrapped())>);
  wrapped();
  EXPECT_TRUE(called);
}

struct Counted {
  int* copies;
  int* moves;
  Counted(int* copies_made, int* moves_made) : copies(copies_made), moves(moves_made) {}
  Counted(const Counted& other) : copies(other.copies), moves(other.moves) { ++*copies; }
  Counted(Counted&& other) noexcept : copies(other.copies), moves(other.moves) { ++*moves; }
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() = default;
};

TEST_F(WithRedisMutexTest, CopiesNoArguments) {
  int copies = 0, moves = 0;
  Counted argument(&copies, &moves);
  const auto key = [](const Counted&) { return "key"; };
  with_redismutex(connection, key, [](const Counted&) {})(argument);
  with_redismutex(connection, key, [](Counted&) {})(argument);
  with_redismutex(connection, key, [](Counted&&) {})(std::move(argument));
  EXPECT_EQ(copies, 0);
  EXPECT_EQ(moves, 0);
  with_redismutex(connection, key, [](Counted) {})(std::move(argument));  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(copies, 0);
  EXPECT_EQ(moves, 1);
}

TEST_F(WithRedisMutexTest, CopiesNoFunctionsInACall) {
  int copies = 0, moves = 0;
  auto wrapped = with_redismutex(connection, "key", [it = Counted(&copies, &moves)] { return it.copies; });
  EXPECT_EQ(copies, 0);
  moves = 0;
  wrapped();
  wrapped();
  EXPECT_EQ(copies, 0);
  EXPECT_EQ(moves, 0);
}

TEST_F(WithRedisMutexTest, ExceptionsComeThroughAndTheLockIsFree) {
  auto failing = with_redismutex(connection, "key", [](int number) -> int { throw number; });
  try {
    failing(7);
    FAIL() << "nothing was thrown";
  } catch (int number) {
    EXPECT_EQ(number, 7);
  }
  EXPECT_FALSE(held());
}

// ---- keys made from the arguments -----------------------------------------------------------------------------------

TEST_F(WithRedisMutexTest, KeyGeneratorSeesTheSameArguments) {
  const std::string text = "text";
  const void* seen_by_generator = nullptr;
  const void* seen_by_function = nullptr;
  auto wrapped = with_redismutex(
      connection,
      [&](const std::string& it, int number) {
        seen_by_generator = &it;
        return it + ":" + std::to_string(number);
      },
      [&](const std::string& it, int) {
        seen_by_function = &it;
        return held("text:7");
      });
  EXPECT_TRUE(wrapped(text, 7));
  EXPECT_EQ(seen_by_generator, &text);
  EXPECT_EQ(seen_by_function, &text);
}

// The generator comes first, and must not take away what the function is to get.
TEST_F(WithRedisMutexTest, KeyGeneratorDoesNotEatTheArguments) {
  auto wrapped = with_redismutex(
      connection, [](std::string text) { return text; }, [](std::string text) { return text; });
  EXPECT_EQ(wrapped(std::string("a text that is too long to be stored in place")),
            "a text that is too long to be stored in place");
}

TEST_F(WithRedisMutexTest, KeyGeneratorMayReturnAnythingThatMakesAString) {
  const auto keys = [&] { return server.keys(); };
  EXPECT_EQ(with_redismutex(
                connection, [] { return "literal"; }, keys)()
                .at(0),
            "literal");
  EXPECT_EQ(with_redismutex(
                connection, [] { return std::string_view("view"); }, keys)()
                .at(0),
            "view");
  const std::string own = "reference";
  EXPECT_EQ(with_redismutex(
                connection, [&]() -> const std::string& { return own; }, keys)()
                .at(0),
            "reference");
}

struct Order {
  std::string id;
  const std::string& key() const { return id; }
};

TEST_F(WithRedisMutexTest, KeyGeneratorMayBeAMember) {
  const Order order{"order 7"};
  EXPECT_TRUE(with_redismutex(connection, &Order::key, [&](const Order&) { return held("order 7"); })(order));
  EXPECT_TRUE(with_redismutex(connection, &Order::id, [&](const Order&) { return held("order 7"); })(order));
}

TEST_F(WithRedisMutexTest, KeyGeneratorMayHaveState) {
  auto wrapped = with_redismutex(
      connection, [calls = 0]() mutable { return "key " + std::to_string(++calls); }, [&] { return server.keys(); });
  EXPECT_EQ(wrapped().at(0), "key 1");
  EXPECT_EQ(wrapped().at(0), "key 2");
}

TEST_F(WithRedisMutexTest, KeyGeneratorThatThrowsLeavesNoLockAndNoCall) {
  bool called = false;
  auto wrapped = with_redismutex(
      connection, []() -> std::string { throw std::out_of_range("no key"); }, [&] { called = true; });
  EXPECT_THROW(wrapped(), std::out_of_range);
  EXPECT_FALSE(called);
  EXPECT_EQ(server.connected_clients(), 0) << "there was nothing to send";
}

TEST_F(WithRedisMutexTest, EmptyKeyIsReportedByTheCall) {
  bool called = false;
  auto by_key = with_redismutex(connection, "", [&] { called = true; });
  auto by_generator = with_redismutex(
      connection, [] { return ""; }, [&] { called = true; });
  EXPECT_THROW(by_key(), std::invalid_argument);
  EXPECT_THROW(by_generator(), std::invalid_argument);
  EXPECT_FALSE(called);
}

// ---- options and errors ---------------------------------------------------------------------------------------------

TEST_F(WithRedisMutexTest, DoesNotCallTheFunctionWithoutTheLock) {
  server.command({"SET", "key", "other"});
  bool called = false;
  const auto fn = [&] { called = true; };
  EXPECT_THROW(with_redismutex(connection, "key", fn, non_blocking)(), MutexLockError);
  const Options impatient{.block_time = 100ms, .delay = 5ms, .expiry = 1s};
  EXPECT_THROW(with_redismutex(
                   connection, [] { return "key"; }, fn, impatient)(),
               BlockTimeExceedError);
  EXPECT_FALSE(called);
  EXPECT_EQ(server.get("key"), "other");
  server.command({"DEL", "key"});
}

TEST_F(WithRedisMutexTest, OptionsReachTheLock) {
  const auto left = [&] { return server.pttl("key"); };
  EXPECT_GT(with_redismutex(connection, "key", left, {.expiry = 100s})(), 7000);
  EXPECT_GT(with_redismutex(connection, [] { return "key"; }, left, {.expiry = 100s})(), 7000);
  EXPECT_LE(with_redismutex(connection, "key", left)(), 7000);
}

TEST_F(WithRedisMutexTest, BadOptionsAreRefusedWhenItIsMade) {
  const Options bad{.block_time = 5s, .expiry = 1s};
  EXPECT_THROW((void)with_redismutex(connection, "key", twice, bad), std::invalid_argument);
  EXPECT_THROW((void)with_redismutex(
                   connection, [](int) { return "key"; }, twice, bad),
               std::invalid_argument);
  EXPECT_THROW((WithRedisMutex{connection, "key", bad}), std::invalid_argument);
}

// ---- locks that are lost while the function runs --------------------------------------------------------------------

// Another may have been inside, so the caller is told, as by the Python original; and another's lock is not touched.
TEST_F(WithRedisMutexTest, ALostLockIsAnErrorOfTheCall) {
  auto overtaken = with_redismutex(connection, "key", [&] {
    server.command({"SET", "key", "other"});
    return 7;
  });
  EXPECT_THAT(thrown<MutexUnlockError>(overtaken).what(), ::testing::HasSubstr("'key'"));
  EXPECT_EQ(server.get("key"), "other");
  server.command({"DEL", "key"});

  auto deleted = with_redismutex(connection, "key", [&] { server.command({"DEL", "key"}); });
  EXPECT_THROW(deleted(), MutexUnlockError);

  auto slow = with_redismutex(connection, "key",
                              [&] {
                                EXPECT_TRUE(eventually(limit, [&] { return !held(); }));
                                return 7;
                              },
                              {.expiry = 50ms});
  EXPECT_THROW(slow(), MutexUnlockError) << "it outlasted its lease";
}

// What the function throws says more than that its lock was lost.
TEST_F(WithRedisMutexTest, TheFunctionsOwnExceptionGoesFirst) {
  auto failing = with_redismutex(connection, "key", [&]() -> int {
    server.command({"DEL", "key"});
    throw std::out_of_range("its own");
  });
  EXPECT_THROW(failing(), std::out_of_range);
}

// A call within the destructor of something that an exception destroys is a call like any other.
TEST_F(WithRedisMutexTest, ALostLockIsAnErrorAlsoWhileAnotherExceptionIsUnderWay) {
  auto losing = with_redismutex(connection, "key", [&] {
    server.command({"DEL", "key"});
    return std::atomic<int>(7);  // can not be moved
  });
  bool told = false;
  struct AtTheEnd {
    std::function<void()> action;
    ~AtTheEnd() { action(); }
  };
  try {
    const AtTheEnd end{[&] {
      try {
        losing();
      } catch (const MutexUnlockError&) {
        told = true;
      }
    }};
    throw std::runtime_error("under way");
  } catch (const std::runtime_error&) {
  }
  EXPECT_TRUE(told);
}

// Results of every kind, made before the loss is found, are destroyed.
TEST_F(WithRedisMutexTest, AResultThatIsNotReturnedIsDestroyed) {
  static int alive = 0;
  struct Movable {
    Movable() { ++alive; }
    Movable(Movable&& /*other*/) noexcept { ++alive; }
    Movable& operator=(Movable&&) = delete;
    ~Movable() { --alive; }
  };
  struct Copyable {
    Copyable() { ++alive; }
    Copyable(const Copyable& /*other*/) { ++alive; }
    Copyable& operator=(const Copyable&) = delete;
    ~Copyable() { --alive; }
  };
  const auto lose = [&] { server.command({"DEL", "key"}); };
  auto movable = with_redismutex(connection, "key", [&] {
    lose();
    return Movable();
  });
  auto copyable = with_redismutex(connection, "key", [&]() -> const Copyable {
    lose();
    return {};
  });
  int number = 7;
  auto reference = with_redismutex(connection, "key", [&]() -> int& {
    lose();
    return number;
  });
  EXPECT_THROW((void)movable(), MutexUnlockError);
  EXPECT_THROW((void)copyable(), MutexUnlockError);
  EXPECT_THROW((void)reference(), MutexUnlockError);
  EXPECT_EQ(alive, 0);
}

// A result that can neither be moved nor copied comes through, as from the function itself.
TEST_F(WithRedisMutexTest, ReturnsWhatCanNotBeMoved) {
  auto make = with_redismutex(connection, "key", [](int number) { return std::atomic<int>(number); });
  static_assert(std::is_same_v<decltype(make(7)), std::atomic<int>>);
  const auto made = make(7);
  EXPECT_EQ(made.load(), 7);
  EXPECT_FALSE(held());
  auto losing = with_redismutex(connection, "key", [&] {
    server.command({"DEL", "key"});
    return std::atomic<int>(7);
  });
  EXPECT_THROW((void)losing(), MutexUnlockError);
}

/// A connection whose log is kept, with timeouts that a test can wait for.
struct Logged {
  explicit Logged(Server& server, const std::string& user = "", const std::string& password = "") {
    ConnectionOptions options = parse_url(server.url());
    if (!user.empty()) options.username = user, options.password = password;
    options.connect_timeout = options.command_timeout = 200ms;
    options.log = written_to(log);
    connection.emplace(options);
  }

  const std::shared_ptr<Sentences> log = std::make_shared<Sentences>();
  std::optional<Connection> connection;
};

// Within the lease nobody else can have been inside: the result stands, and the log says why the key is still there.
TEST_F(WithRedisMutexTest, AReleaseThatNobodyAnswersIsToldToTheLog) {
  Logged logged(server);
  auto orphaned = with_redismutex(*logged.connection, "key", [&] {
    server.kill();
    return 7;
  });
  EXPECT_EQ(orphaned(), 7);
  EXPECT_EQ(logged.log->about("cannot release lock 'key' on " + display(server)).size(), 1U)
      << ::testing::PrintToString(logged.log->all());
  server.start();
}

TEST_F(WithRedisMutexTest, AReleaseThatIsRefusedIsToldToTheLog) {
  server.command({"ACL", "SETUSER", "alice", "on", ">wonderland", "~*", "+@all"});
  Logged logged(server, "alice", "wonderland");
  auto refused = with_redismutex(*logged.connection, "key", [&] {
    server.command({"ACL", "SETUSER", "alice", "-@all"});
    return 7;
  });
  EXPECT_EQ(refused(), 7);
  EXPECT_EQ(logged.log->about("cannot release lock 'key'").size(), 1U) << ::testing::PrintToString(logged.log->all());
  server.command({"DEL", "key"});
}

// After the lease somebody may have been inside, answer or not.
TEST_F(WithRedisMutexTest, OutlastingTheLeaseIsAnErrorWithoutAServerToo) {
  Logged logged(server);
  auto orphaned = with_redismutex(*logged.connection, "key",
                                  [&] {
                                    EXPECT_TRUE(eventually(limit, [&] { return !held(); }));
                                    server.kill();
                                  },
                                  {.expiry = 50ms});
  EXPECT_THAT(thrown<MutexUnlockError>([&] { return orphaned(), 0; }).what(), ::testing::HasSubstr("had expired"));
  server.start();
}

// ---- the reusable form ----------------------------------------------------------------------------------------------

TEST_F(WithRedisMutexTest, DecoratorServesManyFunctions) {
  WithRedisMutex decorate{connection, [](int number) { return "key " + std::to_string(number); }, patient};
  auto first = decorate([&](int number) { return held("key " + std::to_string(number)); });
  auto second = decorate(twice);
  EXPECT_TRUE(first(1));
  EXPECT_TRUE(first(2));
  EXPECT_EQ(second(3), 6);
}

TEST_F(WithRedisMutexTest, DecoratorTakesAPlainKey) {
  const WithRedisMutex decorate{connection, "key"};
  static_assert(std::is_same_v<decltype(decorate), const WithRedisMutex<std::string>>);
  EXPECT_TRUE(decorate([&] { return held(); })());
}

TEST_F(WithRedisMutexTest, DecoratorMayBeATemporaryWithAMoveOnlyGenerator) {
  auto generator = [key = std::make_unique<std::string>("key")] { return *key; };
  auto wrapped = WithRedisMutex{connection, std::move(generator)}([&] { return held(); });
  EXPECT_TRUE(wrapped());
}

// ---- exclusion ------------------------------------------------------------------------------------------------------

TEST_F(WithRedisMutexTest, ConcurrentCallsExcludeEachOther) {
  constexpr int threads = 8, turns = 10;
  ExclusionWitness witness;
  const auto wrapped = with_redismutex(connection, "key",
                                       [&] {
                                         witness.enter();
                                         witness.leave();
                                       },
                                       {.block_time = limit, .delay = 1ms, .expiry = 2 * limit});
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        for (int n = 0; n < turns; ++n) wrapped();
      });
    }
  }
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), threads * turns);
}

// Two functions with one key are one critical section; with two keys they are not.
TEST_F(WithRedisMutexTest, TheKeyDecidesWhoExcludesWhom) {
  auto same_key = with_redismutex(
      connection, "key", [] {}, non_blocking);
  auto other_key = with_redismutex(
      connection, "other key", [] {}, non_blocking);
  auto outer = with_redismutex(connection, "key", [&] {
    EXPECT_THROW(same_key(), MutexLockError);
    EXPECT_NO_THROW(other_key());
  });
  outer();
  EXPECT_NO_THROW(same_key());
}

}  // namespace
}  // namespace redismutex::testing
