// TLS: whom we trust, how we show who we are, and that everything else is as without it.

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "stopwatch.hpp"
#include "support/certificates.hpp"
#include "support/proxy.hpp"
#include "support/tcp_client.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// For who is to be refused at once: a wait for any timeout would be noticed.
constexpr auto at_once_ms = 10'000;

struct Tls : ::testing::Test {
  static const Certificates& certificates() {
    static const Certificates made;
    return made;
  }

  static ServerTls strict() {
    ServerTls tls = certificates().tls(certificates().server());
    tls.requires_client_certificate = true;
    return tls;
  }

  static ConnectionOptions options(const Server& server, TlsOptions tls) {
    return with(long_timeouts, {.host = "localhost", .port = server.tls_port(), .tls = std::move(tls)});
  }

  static TlsOptions trusting() { return {.ca_file = certificates().ca_file()}; }

  static void expect_locking(const Connection& connection, Server& at) {
    auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
    EXPECT_EQ(at.get("key"), lock.value());
    lock.release();
    EXPECT_FALSE(at.exists("key"));
  }

  /// What the ConnectionError says with which the server is refused, or refuses us, before anything is locked.
  static std::string refusal(const ConnectionOptions& refused) {
    const Stopwatch watch;
    const RedisMutex mutex{Connection{refused}, {.block_time = 15s, .delay = 10ms, .expiry = 20s}};
    const auto error = thrown<ConnectionError>([&] { return mutex.acquire_lock("key"); });
    EXPECT_LT(watch.elapsed_ms(), at_once_ms);
    EXPECT_THAT(error.what(), HasSubstr("rediss://localhost:" + std::to_string(refused.port)));
    return error.what();
  }

  Server server{{.tcp = true, .ipv6 = true, .tls = certificates().tls(certificates().server())}};
};

// ---- trust ----------------------------------------------------------------------------------------------------------

TEST_F(Tls, LocksByUrl) {
  expect_locking(Connection{server.tls_url() + "?ca_file=" + certificates().ca_file()}, server);
}

TEST_F(Tls, LocksByOptions) { expect_locking(Connection{options(server, trusting())}, server); }

// Passwords and databases are the same as without TLS.
TEST_F(Tls, CarriesALoginAndADatabase) {
  Server locked({.password = "secret", .tls = certificates().tls(certificates().server())});
  const Connection connection{locked.tls_url() + "/3?ca_file=" + certificates().ca_file()};
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  RawClient third(locked.socket_path(), {"AUTH", "control", "any"});
  third.command({"SELECT", "3"});
  EXPECT_EQ(third.command({"GET", "key"}).text, lock.value());
}

// A certificate carries addresses apart from names.
TEST_F(Tls, KnowsAServerByItsAddress) {
  for (const auto* host : {"127.0.0.1", "[::1]"}) {
    SCOPED_TRACE(host);
    expect_locking(Connection{"rediss://" + std::string{host} + ":" + std::to_string(server.tls_port()) +
                              "?ca_file=" + certificates().ca_file()},
                   server);
  }
}

// Who reaches the server under another name than its certificate's says which name that is.
TEST_F(Tls, KnowsAServerByTheNameItIsTold) {
  Server elsewhere({.tls = certificates().tls(certificates().wrong_name_server())});
  expect_locking(Connection{elsewhere.tls_url() + "?server_name=elsewhere.example&ca_file=" + certificates().ca_file()},
                 elsewhere);
  TlsOptions tls = trusting();
  tls.server_name = "elsewhere.example";
  expect_locking(Connection{options(elsewhere, tls)}, elsewhere);

  // The right name of another server is a wrong one here.
  EXPECT_THAT(refusal(options(server, tls)), HasSubstr("hostname mismatch"));
  tls.server_name = "127.0.0.2";
  EXPECT_THAT(refusal(options(server, tls)), HasSubstr("IP address mismatch"));
}

// The name is also asked for (SNI), which stands readable in the first message; an address is not (RFC 6066).
TEST_F(Tls, AsksForTheName) {
  const auto first_message = [](TlsOptions tls, const std::string& host) {
    const Descriptor listener(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    checked(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), "bind");
    checked(::listen(listener.get(), 1), "listen");
    checked(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    auto greeting = std::async(std::launch::async, [&] {
      const Descriptor accepted(checked(::accept(listener.get(), nullptr, nullptr), "accept"));
      std::array<char, 4096> buffer;
      const auto got = checked(::recv(accepted.get(), buffer.data(), buffer.size(), 0), "recv");
      return std::string(buffer.data(), static_cast<std::size_t>(got));
    });
    const Connection connection{
        with(long_timeouts, {.host = host, .port = ntohs(address.sin_port), .tls = std::move(tls)})};
    thrown<ConnectionError>([&] {
      connection.ping();
      return 0;
    });
    return greeting.get();
  };
  EXPECT_THAT(first_message({.server_name = "elsewhere.example"}, "127.0.0.1"), HasSubstr("elsewhere.example"));
  EXPECT_THAT(first_message({}, "localhost"), HasSubstr("localhost"));
  EXPECT_THAT(first_message({}, "127.0.0.1"), ::testing::Not(HasSubstr("127.0.0.1")));
}

// ---- distrust -------------------------------------------------------------------------------------------------------

// Each refusal says what was wrong, at once: nobody waits for a timeout, or tries for as long as one.

TEST_F(Tls, RefusesAnUnknownAuthority) {
  EXPECT_THAT(refusal(options(server, {.ca_file = certificates().other_ca_file()})), HasSubstr("self-signed"));
  EXPECT_THAT(refusal(options(server, {})), HasSubstr("self-signed")) << "nor do the system's authorities know it";
}

TEST_F(Tls, RefusesAWrongName) {
  const Server elsewhere({.tls = certificates().tls(certificates().wrong_name_server())});
  EXPECT_THAT(refusal(options(elsewhere, trusting())), HasSubstr("hostname mismatch"));
}

TEST_F(Tls, RefusesAnExpiredCertificate) {
  const Server expired({.tls = certificates().tls(certificates().expired_server())});
  EXPECT_THAT(refusal(options(expired, trusting())), HasSubstr("certificate has expired"));
}

TEST_F(Tls, SaysWhichFileCanNotBeLoaded) {
  TlsOptions tls{.ca_file = "/no/such/ca"};
  EXPECT_THAT(refusal(options(server, tls)), HasSubstr("ca_file /no/such/ca"));
  tls = trusting();
  tls.certificate_file = "/no/such/certificate";
  tls.key_file = certificates().client().key_file;
  EXPECT_THAT(refusal(options(server, tls)), HasSubstr("certificate_file /no/such/certificate"));
  tls.certificate_file = certificates().client().certificate_file;
  tls.key_file = certificates().server().key_file;
  EXPECT_THAT(refusal(options(server, tls)), HasSubstr("key_file " + tls.key_file)) << "another certificate's key";
  tls.key_file = certificates().encrypted_client().key_file;
  EXPECT_THAT(refusal(options(server, tls)), HasSubstr("key_file " + tls.key_file + ": it is encrypted"));
}

// Experiments: no check of any kind.
TEST_F(Tls, TakesAnythingWithoutVerification) {
  Server expired({.tls = certificates().tls(certificates().expired_server())});
  Server elsewhere({.tls = certificates().tls(certificates().wrong_name_server())});
  for (auto* any : {&server, &expired, &elsewhere}) {
    expect_locking(Connection{any->tls_url() + "?verify=no"}, *any);
    expect_locking(Connection{options(*any, {.ca_file = certificates().other_ca_file(), .verify = false})}, *any);
  }
}

// ---- the client's own certificate -----------------------------------------------------------------------------------

// With TLS 1.3 the server checks it only after the client's handshake is over, with 1.2 before: the client hears of it in
// different places.
struct TlsVersions : Tls, ::testing::WithParamInterface<const char*> {
  Server strict_server{{.tls = strict(), .directives = {"tls-protocols " + std::string{GetParam()}}}};
};
INSTANTIATE_TEST_SUITE_P(Each, TlsVersions, ::testing::Values("TLSv1.2", "TLSv1.3"),
                         [](const auto& version) { return version.param == std::string{"TLSv1.2"} ? "One2" : "One3"; });

TEST_P(TlsVersions, ShowsTheClientsCertificate) {
  const auto& own = certificates().client();
  TlsOptions tls = trusting();
  tls.certificate_file = own.certificate_file;
  tls.key_file = own.key_file;
  expect_locking(Connection{options(strict_server, tls)}, strict_server);
  expect_locking(Connection{strict_server.tls_url() + "?ca_file=" + certificates().ca_file() +
                            "&certificate_file=" + own.certificate_file + "&key_file=" + own.key_file},
                 strict_server);
}

// However the two ends' messages cross: many times over.
TEST_P(TlsVersions, SaysThatTheServerWantsACertificate) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_THAT(refusal(options(strict_server, trusting())), HasSubstr("certificate")) << i;
  }
  EXPECT_TRUE(strict_server.keys().empty());
}

TEST_P(TlsVersions, SaysThatTheServerDoesNotTakeItsCertificate) {
  TlsOptions tls = trusting();
  tls.certificate_file = certificates().expired_server().certificate_file;
  tls.key_file = certificates().expired_server().key_file;
  for (int i = 0; i < 20; ++i) {
    ASSERT_THAT(refusal(options(strict_server, tls)), HasSubstr("certificate expired")) << i;
  }
}

// ---- the wrong door -------------------------------------------------------------------------------------------------

// Neither side understands the other. That is found out, or the time limit ends it: no hang.
TEST_F(Tls, PlainClientAtATlsPort) {
  const Connection plain{with(long_timeouts, {.host = "localhost", .port = server.tls_port()})};
  const Stopwatch watch;
  thrown<ConnectionError>([&] {
    plain.ping();
    return 0;
  });
  EXPECT_LT(watch.elapsed_ms(), at_once_ms);
}

TEST_F(Tls, TlsClientAtAPlainPort) {
  constexpr Timeouts timeouts{.connect = 300ms, .command = 300ms};
  const Connection tls{with(timeouts, {.host = "localhost", .port = server.port(), .tls = trusting()})};
  for (int i = 0; i < 3; ++i) {
    const Stopwatch watch;
    const auto error = thrown<ConnectionError>([&] {
      tls.ping();
      return 0;
    });
    EXPECT_THAT(error.what(), HasSubstr("TLS"));
    EXPECT_LT(watch.elapsed_ms(), timeouts.sum().count() + 2000);
  }
}

// ---- as without TLS -------------------------------------------------------------------------------------------------

// One socket for all threads, although OpenSSL wants one user at a time.
TEST_F(Tls, SixteenThreadsShareOneConnection) {
  constexpr int threads = 16, turns = 100;
  const Connection connection{options(server, trusting())};
  const RedisMutex mutex{connection, patient}, impatient{connection, non_blocking};
  int shared = 0;
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&, i] {
        for (int n = 0; n < turns; ++n) {
          auto lock = impatient.acquire_lock("own " + std::to_string(i));
          lock.extend();
          lock.release();
        }
        const auto lock = mutex.acquire_lock("shared");
        ++shared;
      });
    }
  }
  EXPECT_EQ(shared, threads);
  EXPECT_EQ(server.connected_clients(), 1);
  EXPECT_TRUE(server.keys().empty());
}

TEST_F(Tls, HealsAfterAKillAndARestart) {
  const RedisMutex mutex{Connection{options(server, trusting())}, non_blocking};
  auto held = mutex.acquire_lock("held");
  for (int i = 0; i < 20; ++i) {
    server.command({"CLIENT", "KILL", "TYPE", "normal"});
    EXPECT_TRUE(mutex.acquire_lock("key"));
  }
  held.extend();
  held.release();
  server.start();
  EXPECT_TRUE(mutex.acquire_lock("key"));
}

// The connection is cut at many points of the handshake and of what follows it. A client that has never reached the server
// gets an error at once, one that has gets its lock; with verification and without, where the cut is not to be taken for a
// bad certificate.
TEST_F(Tls, HandshakeThatIsCutAnywhere) {
  Proxy proxy(server.tls_port());
  for (const auto direction : {Direction::requests, Direction::replies}) {
    for (const bool verify : {true, false}) {
      const auto tls = verify ? trusting() : TlsOptions{.ca_file = certificates().other_ca_file(), .verify = false};
      const auto options = with(long_timeouts, {.host = "localhost", .port = proxy.port(), .tls = tls});
      const auto before = proxy.bytes(direction);
      const Connection old{options};
      old.ping();
      const auto whole = proxy.bytes(direction) - before;
      for (std::size_t bytes = 0; bytes < whole; bytes += 97) {
        SCOPED_TRACE(bytes);
        const Connection connection{options};
        const Stopwatch watch;
        proxy.cut_after(direction, bytes, bytes % 2 == 0 ? Ending::fin : Ending::rst);
        try {
          connection.ping();
        } catch (const ConnectionError& error) {
          EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("certificate")));
        }
        proxy.cut_all(Ending::fin);
        proxy.cut_after(direction, bytes, bytes % 2 == 0 ? Ending::rst : Ending::fin);
        EXPECT_TRUE(RedisMutex(old, non_blocking).acquire_lock("key"));
        EXPECT_LT(watch.elapsed_ms(), at_once_ms);
        proxy.pass();
      }
    }
  }
}

// The handshake of a server that is silent ends with the stop_token, and with the time limit.
TEST_F(Tls, SilentHandshakeEndsInTime) {
  Proxy proxy(server.tls_port());
  proxy.freeze();
  const RedisMutex mutex{
      Connection{with(long_timeouts, {.host = "localhost", .port = proxy.port(), .tls = trusting()})}};
  const auto best = best_ms(10, [&] {
    std::stop_source stop;
    auto wait = std::async(std::launch::async,
                           [&] { thrown<LockCancelled>([&] { return mutex.acquire_lock("key", stop.get_token()); }); });
    EXPECT_EQ(wait.wait_for(20ms), std::future_status::timeout);
    const Stopwatch watch;
    stop.request_stop();
    wait.get();
    return watch.elapsed_ms();
  });
  EXPECT_LE(best, 10);
  const Stopwatch watch;
  thrown<ConnectionError>([&] { return mutex.try_acquire_lock_for("key", 100ms); });
  EXPECT_GE(watch.elapsed_ms(), 100);
  EXPECT_LT(watch.elapsed_ms(), 2100);
}

std::atomic<int> sigpipes = 0;

// OpenSSL by itself would write to a broken connection in a way that kills a program which knows nothing of sockets. So
// many threads write while the connection breaks under them, and the deadly signal is counted instead.
TEST_F(Tls, BrokenConnectionRaisesNoSigpipe) {
  const auto before = ::signal(SIGPIPE, [](int) { ++sigpipes; });
  Proxy proxy(server.tls_port());
  const RedisMutex mutex{
      Connection{with(long_timeouts, {.host = "localhost", .port = proxy.port(), .tls = trusting()})}, patient};
  mutex.acquire_lock("key").release();
  std::atomic<bool> done = false;
  std::atomic<int> turns = 0;
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < 8; ++i) {
      all.emplace_back([&, i] {
        while (!done) {
          mutex.acquire_lock("own " + std::to_string(i)).release();
          ++turns;
        }
      });
    }
    for (int cut = 0; cut < 20; ++cut) {
      const int turns_before = turns;
      EXPECT_TRUE(eventually(limit, [&] { return turns > turns_before; }));
      proxy.cut_all(cut % 2 == 0 ? Ending::fin : Ending::rst);
    }
    done = true;
  }
  EXPECT_EQ(sigpipes, 0);
  ::signal(SIGPIPE, before);
}

}  // namespace
}  // namespace redismutex::testing
