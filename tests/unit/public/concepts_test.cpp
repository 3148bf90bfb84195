// The public interface as a contract, kept by the compiler: every signature of design/api.md, whatever programs outside
// this repository may spell with it, and what must not compile.

#include <gtest/gtest.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>

namespace {

using namespace std::chrono_literals;
using redismutex::Connection, redismutex::ConnectionOptions, redismutex::Lock, redismutex::Mutex, redismutex::Options,
    redismutex::RedisMutex, redismutex::TlsOptions, redismutex::with_redismutex, redismutex::WithRedisMutex;
using std::is_same_v;
using std::chrono::milliseconds;

// ---- Connection ----

static_assert(std::copyable<Connection>);
static_assert(std::is_default_constructible_v<Connection>);
static_assert(std::is_constructible_v<Connection, const char*>);
static_assert(std::is_constructible_v<Connection, std::string>);
static_assert(std::is_constructible_v<Connection, std::string_view>);
static_assert(std::is_constructible_v<Connection, ConnectionOptions>);
static_assert(!std::is_convertible_v<const char*, Connection>, "explicit");
static_assert(!std::is_convertible_v<std::string_view, Connection>, "explicit");
static_assert(!std::is_convertible_v<ConnectionOptions, Connection>, "explicit");
static_assert(is_same_v<decltype(&Connection::ping), void (Connection::*)() const>);

// ---- ConnectionOptions ----

static_assert(std::is_aggregate_v<ConnectionOptions> && std::is_aggregate_v<TlsOptions>);
static_assert(is_same_v<decltype(ConnectionOptions::host), std::string>);
static_assert(is_same_v<decltype(ConnectionOptions::port), std::uint16_t>);
static_assert(is_same_v<decltype(ConnectionOptions::db), int>);
static_assert(is_same_v<decltype(ConnectionOptions::unix_socket), std::string>);
static_assert(is_same_v<decltype(ConnectionOptions::username), std::string>);
static_assert(is_same_v<decltype(ConnectionOptions::password), std::string>);
static_assert(is_same_v<decltype(ConnectionOptions::tls), std::optional<TlsOptions>>);
static_assert(is_same_v<decltype(ConnectionOptions::connect_timeout), milliseconds>);
static_assert(is_same_v<decltype(ConnectionOptions::command_timeout), milliseconds>);
static_assert(is_same_v<decltype(ConnectionOptions::client_name), std::string>);
static_assert(is_same_v<decltype(&redismutex::parse_url), ConnectionOptions (*)(std::string_view)>);

// The members stand in the documented order, so all of them can be designated at once.
[[maybe_unused]] ConnectionOptions all_connection_options() {
  return {
      .host = "h",
      .port = 1,
      .db = 2,
      .unix_socket = "/s",
      .username = "u",
      .password = "p",
      .tls = TlsOptions{.ca_file = "c", .certificate_file = "f", .key_file = "k", .server_name = "n", .verify = false},
      .connect_timeout = 1ms,
      .command_timeout = 2s,
      .client_name = "name"};
}

TEST(PublicInterface, ConnectionOptionsHaveTheDocumentedDefaults) {
  const ConnectionOptions options;
  EXPECT_EQ(options.host, "localhost");
  EXPECT_EQ(options.port, 6379);
  EXPECT_EQ(options.db, 0);
  EXPECT_EQ(options.unix_socket + options.username + options.password, "");
  EXPECT_FALSE(options.tls);
  EXPECT_EQ(options.connect_timeout, 2000ms);
  EXPECT_EQ(options.command_timeout, 2000ms);
  EXPECT_EQ(options.client_name, "");
  EXPECT_TRUE(TlsOptions{}.verify);
}

// ---- Options ----

static_assert(std::is_aggregate_v<Options>);
static_assert(is_same_v<decltype(Options::blocking), bool>);
static_assert(is_same_v<decltype(Options::block_time), std::optional<milliseconds>>);
static_assert(is_same_v<decltype(Options::delay), std::optional<milliseconds>>);
static_assert(is_same_v<decltype(Options::expiry), std::optional<milliseconds>>);
static_assert(is_same_v<decltype(Options::auto_renew), bool>);
static_assert(is_same_v<decltype(Options::fencing), bool>);

constexpr Options all_options{
    .blocking = false, .block_time = 1ms, .delay = 2ms, .expiry = 3s, .auto_renew = true, .fencing = true};
static_assert(!all_options.blocking && all_options.block_time == 1ms && all_options.delay == 2ms &&
              all_options.expiry == 3s && all_options.auto_renew && all_options.fencing);

// What is left out is fitted to the rest by the mutex.
static_assert(Options{}.blocking && !Options{}.block_time && !Options{}.delay && !Options{}.expiry &&
              !Options{}.auto_renew && !Options{}.fencing);

// ---- RedisMutex ----

static_assert(std::copyable<RedisMutex>);
static_assert(std::is_constructible_v<RedisMutex, Connection>);
static_assert(std::is_constructible_v<RedisMutex, Connection&, Options>);
static_assert(!std::is_convertible_v<Connection, RedisMutex>, "explicit");
static_assert(!std::is_default_constructible_v<RedisMutex>);
// The seed's TypeError: what is no Connection does not compile.
static_assert(!std::is_constructible_v<RedisMutex, const char*>);
static_assert(!std::is_constructible_v<RedisMutex, std::string>);
static_assert(!std::is_constructible_v<RedisMutex, std::string, Options>);
static_assert(!std::is_constructible_v<RedisMutex, ConnectionOptions>);
static_assert(!std::is_constructible_v<RedisMutex, std::nullptr_t>);
static_assert(!std::is_constructible_v<RedisMutex, int>);

static_assert(
    is_same_v<decltype(&RedisMutex::acquire_lock), Lock (RedisMutex::*)(std::string_view, std::stop_token) const>);
static_assert(
    is_same_v<decltype(&RedisMutex::try_acquire_lock), std::optional<Lock> (RedisMutex::*)(std::string_view) const>);
static_assert(is_same_v<decltype(&RedisMutex::options), const Options& (RedisMutex::*)() const noexcept>);
static_assert(requires(const RedisMutex mutex, const std::string key, std::stop_token stop) {
  { mutex.acquire_lock("key") } -> std::same_as<Lock>;
  { mutex.acquire_lock(key) } -> std::same_as<Lock>;
  { mutex.acquire_lock(key, stop) } -> std::same_as<Lock>;
  { mutex.acquire_lock(key, {}) } -> std::same_as<Lock>;
  { mutex.try_acquire_lock("key") } -> std::same_as<std::optional<Lock>>;
  { mutex.try_acquire_lock_for(key, 5s) } -> std::same_as<std::optional<Lock>>;
  { mutex.try_acquire_lock_for("key", 500ms) } -> std::same_as<std::optional<Lock>>;
  { mutex.try_acquire_lock_for("key", 500ms, stop) } -> std::same_as<std::optional<Lock>>;
});
static_assert(RedisMutex::max_key_size == 4096);

// ---- Lock ----

static_assert(std::movable<Lock>);
static_assert(std::is_nothrow_move_constructible_v<Lock> && std::is_nothrow_move_assignable_v<Lock>);
static_assert(std::is_nothrow_destructible_v<Lock>);
static_assert(!std::is_copy_constructible_v<Lock> && !std::is_copy_assignable_v<Lock>);
static_assert(!std::is_default_constructible_v<Lock>, "a Lock comes from a mutex");
static_assert(std::is_nothrow_constructible_v<bool, const Lock&>);
static_assert(!std::is_convertible_v<const Lock&, bool>, "explicit");

static_assert(is_same_v<decltype(&Lock::key), const std::string& (Lock::*)() const noexcept>);
static_assert(is_same_v<decltype(&Lock::value), const std::string& (Lock::*)() const noexcept>);
static_assert(is_same_v<decltype(&Lock::owns_lock), bool (Lock::*)() const noexcept>);
static_assert(is_same_v<decltype(&Lock::release), void (Lock::*)()>);
static_assert(is_same_v<decltype(static_cast<void (Lock::*)()>(&Lock::extend)), void (Lock::*)()>);
static_assert(
    is_same_v<decltype(static_cast<void (Lock::*)(milliseconds)>(&Lock::extend)), void (Lock::*)(milliseconds)>);
static_assert(is_same_v<decltype(&Lock::valid_for), milliseconds (Lock::*)() const noexcept>);
static_assert(is_same_v<decltype(&Lock::fencing_token), std::optional<std::uint64_t> (Lock::*)() const noexcept>);
static_assert(is_same_v<decltype(&Lock::lost_token), std::stop_token (Lock::*)() const noexcept>);
static_assert(requires(Lock lock) { lock.extend(5s); });

// ---- Mutex ----

template <class T>
concept Lockable = requires(T mutex) {
  { mutex.lock() } -> std::same_as<void>;
  { mutex.unlock() } -> std::same_as<void>;
  { mutex.try_lock() } -> std::same_as<bool>;
};

template <class T>
concept TimedLockable = Lockable<T> && requires(T mutex) {
  { mutex.try_lock_for(1ns) } -> std::same_as<bool>;
  { mutex.try_lock_for(24h) } -> std::same_as<bool>;
  { mutex.try_lock_for(std::chrono::duration<double>{0.5}) } -> std::same_as<bool>;
  { mutex.try_lock_until(std::chrono::steady_clock::now()) } -> std::same_as<bool>;
  { mutex.try_lock_until(std::chrono::system_clock::now()) } -> std::same_as<bool>;
  {
    mutex.try_lock_until(std::chrono::time_point_cast<std::chrono::hours>(std::chrono::system_clock::now()))
  } -> std::same_as<bool>;
};

static_assert(TimedLockable<Mutex>);
static_assert(TimedLockable<std::timed_mutex>, "the concept is the standard's");
static_assert(noexcept(std::declval<Mutex&>().unlock()));
static_assert(std::is_constructible_v<Mutex, Connection, std::string>);
static_assert(std::is_constructible_v<Mutex, Connection, const char*, Options>);
static_assert(!std::is_constructible_v<Mutex, const char*, const char*>);
static_assert(!std::is_copy_constructible_v<Mutex> && !std::is_copy_assignable_v<Mutex>);
static_assert(!std::is_move_constructible_v<Mutex> && !std::is_move_assignable_v<Mutex>);

// The standard's own users of a mutex take it.
[[maybe_unused]] bool used_by_the_standard(Mutex& a, Mutex& b) {
  const std::lock_guard<Mutex> guard{a};
  const std::scoped_lock both{a, b};
  std::unique_lock<Mutex> timed{a, 5s}, deferred{a, std::defer_lock}, until{a, std::chrono::system_clock::now()};
  std::lock(a, b);
  return std::try_lock(a, b) == -1 && timed.owns_lock() && deferred.try_lock_for(1s) && until.try_lock();
}

// ---- with_redismutex ----

struct MoveOnly {
  std::unique_ptr<int> value;
};

// What comes out of with_redismutex is callable as the function is, with its very results, and not otherwise.
[[maybe_unused]] void wrapped(const Connection& connection, const Options& options) {
  const std::string name = "key";
  const auto key_of = [](int number) { return std::to_string(number); };

  auto named = with_redismutex(connection, "key", [](int) { return 1.5; });
  static_assert(std::is_invocable_r_v<double, decltype(named)&, int>);
  static_assert(std::is_invocable_r_v<double, const decltype(named)&, int>);
  static_assert(std::is_invocable_r_v<double, decltype(named), int>);
  static_assert(!std::is_invocable_v<decltype(named)&> && !std::is_invocable_v<decltype(named)&, std::string>);
  static_assert(std::copyable<decltype(named)> || std::is_copy_constructible_v<decltype(named)>);

  auto with_options = with_redismutex(
      connection, name, [] {}, options);
  static_assert(is_same_v<std::invoke_result_t<decltype(with_options)&>, void>);
  auto with_braces = with_redismutex(connection, name, [] {}, {.block_time = 10s, .delay = 500ms, .expiry = 12s});
  static_assert(is_same_v<std::invoke_result_t<decltype(with_braces)&>, void>);

  auto generated = with_redismutex(connection, key_of, [](int number) { return number; });
  static_assert(is_same_v<std::invoke_result_t<decltype(generated)&, int>, int>);
  auto generated_with_options = with_redismutex(connection, key_of, [](int number) { return number; }, {.expiry = 8s});
  static_assert(is_same_v<std::invoke_result_t<decltype(generated_with_options)&, int>, int>);

  auto reference = with_redismutex(connection, name, [](int& number) -> int& { return number; });
  static_assert(is_same_v<std::invoke_result_t<decltype(reference)&, int&>, int&>);
  static_assert(!std::is_invocable_v<decltype(reference)&, int>);

  auto moves = with_redismutex(
      connection, [](const MoveOnly&) { return "key"; }, [](MoveOnly taken) { return taken; });
  static_assert(is_same_v<std::invoke_result_t<decltype(moves)&, MoveOnly>, MoveOnly>);

  auto counts = with_redismutex(connection, name, [count = 0]() mutable { return ++count; });
  static_assert(std::is_invocable_v<decltype(counts)&> && !std::is_invocable_v<const decltype(counts)&>);

  auto owner = with_redismutex(connection, name, [owned = std::make_unique<int>(1)] { return *owned; });
  static_assert(std::is_invocable_v<decltype(owner)&> && std::is_move_constructible_v<decltype(owner)>);

  auto length = with_redismutex(connection, name, &std::string::size);
  static_assert(std::is_invocable_v<decltype(length)&, const std::string&>);
}

int plain_function(int number) { return number; }

// The reusable form, with a key generator and with a fixed key of any string type.
[[maybe_unused]] void decorated(const Connection& connection, const Options& options) {
  const WithRedisMutex decorate{connection, [](int number) { return std::to_string(number); }, options};
  auto f = decorate([](int number) { return number; });
  auto g = decorate(plain_function);
  auto h = decorate(&plain_function);
  static_assert(is_same_v<std::invoke_result_t<decltype(f)&, int>, int>);
  static_assert(is_same_v<std::invoke_result_t<decltype(g)&, int>, int>);
  static_assert(is_same_v<decltype(g), decltype(h)>);

  const WithRedisMutex literal{connection, "key"};
  const WithRedisMutex named{connection, std::string{"key"}, {.expiry = 8s}};
  static_assert(is_same_v<decltype(literal), const WithRedisMutex<std::string>>);
  static_assert(is_same_v<decltype(named), const WithRedisMutex<std::string>>);
}

// ---- errors ----

template <class Derived, class Base>
constexpr bool is_a = std::is_convertible_v<Derived*, Base*>;

static_assert(is_a<redismutex::Error, std::runtime_error>);
static_assert(is_a<redismutex::MutexLockError, redismutex::Error>);
static_assert(is_a<redismutex::BlockTimeExceedError, redismutex::MutexLockError>);
static_assert(is_a<redismutex::LockCancelled, redismutex::MutexLockError>);
static_assert(is_a<redismutex::MutexUnlockError, redismutex::Error>);
static_assert(is_a<redismutex::ConnectionError, redismutex::Error>);
static_assert(is_a<redismutex::LoginError, redismutex::ConnectionError>);
static_assert(is_a<redismutex::ServerError, redismutex::Error>);
static_assert(!is_a<redismutex::MutexUnlockError, redismutex::MutexLockError>);
static_assert(!is_a<redismutex::LockCancelled, redismutex::BlockTimeExceedError>);
static_assert(!is_a<redismutex::ServerError, redismutex::ConnectionError>);
static_assert(!is_a<redismutex::Error, std::logic_error>, "std::invalid_argument is not among them");
static_assert(is_same_v<decltype(&redismutex::ServerError::code),
                        const std::string& (redismutex::ServerError::*)() const noexcept>);
static_assert(std::is_nothrow_copy_constructible_v<redismutex::Error>);

}  // namespace
