// The tools of the other tests do what they say, and leave nothing behind.

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "support/certificates.hpp"
#include "support/channel.hpp"
#include "support/descriptors.hpp"
#include "support/eventually.hpp"
#include "support/exclusion_witness.hpp"
#include "support/limits.hpp"
#include "support/process.hpp"
#include "support/server.hpp"
#include "support/tcp_client.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

bool alive(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  return file >> number >> name >> state && state != "Z";
}

TEST(Server, AnswersOnItsPortWithItsPassword) {
  Server server({.tcp = true, .password = "secret"});
  const TcpClient client(server.port());
  client.send("PING\r\n");
  EXPECT_TRUE(client.receive(limit).starts_with("-NOAUTH"));
  client.send("AUTH secret\r\n");
  EXPECT_EQ(client.receive(limit), "+OK\r\n");
  EXPECT_EQ(server.url(), "unix://:secret@" + server.socket_path());
  EXPECT_EQ(server.tcp_url(), "redis://:secret@127.0.0.1:" + std::to_string(server.port()));
}

TEST(Server, IsSeenThroughItsOwnUserWhateverOthersMayDo) {
  Server server({.users = {"default off", "alice on >secret ~a* +get"}});
  EXPECT_EQ(server.command({"SET", "a1", "value", "PX", "60000"}).text, "OK");
  EXPECT_EQ(server.get("a1"), "value");
  EXPECT_EQ(server.get("a2"), std::nullopt);
  EXPECT_TRUE(server.exists("a1"));
  EXPECT_GT(server.pttl("a1"), 0);
  EXPECT_LE(server.pttl("a1"), 60000);
  EXPECT_EQ(server.keys(), std::vector<std::string>{"a1"});
  EXPECT_EQ(server.command_calls().at("set"), 1);
  EXPECT_TRUE(server.command({"HGET", "a1", "field"}).is_error());
  EXPECT_EQ(server.connected_clients(), 0);
  RawClient alice(server.socket_path(), {"AUTH", "alice", "secret"});
  EXPECT_EQ(alice.command({"GET", "a1"}).text, "value");
  EXPECT_TRUE(alice.command({"GET", "b1"}).text.starts_with("NOPERM"));
  EXPECT_EQ(server.connected_clients(), 1);
  EXPECT_GE(server.version(), (Version{6, 0, 0}));
}

TEST(Server, StartsAgainEmptyOnTheSameAddresses) {
  Server server({.tcp = true});
  const auto port = server.port();
  const auto url = server.url();
  for (const auto end : {&Server::stop, &Server::kill}) {
    server.command({"SET", "key", "value"});
    (server.*end)();
    EXPECT_EQ(error_of_connecting(port), ECONNREFUSED);
    EXPECT_THROW(server.command({"PING"}), std::runtime_error);
    server.start();
    EXPECT_FALSE(server.exists("key"));
    EXPECT_EQ(server.url(), url);
    EXPECT_EQ(error_of_connecting(port), 0);
  }
}

TEST(Server, IsSilentWhilePaused) {
  Server server({.tcp = true});
  const TcpClient client(server.port());
  server.pause();
  client.send("PING\r\n");
  EXPECT_EQ(client.receive(quiet_time), "");
  server.resume();
  EXPECT_EQ(client.receive(limit), "+PONG\r\n");
  server.pause();
  server.stop();
  EXPECT_EQ(client.receive(limit), "FIN");
}

TEST(Server, ThatCannotStartSaysWhy) {
  try {
    const Server server({.directives = {"no-such-directive 1"}});
    FAIL() << "it started";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("no-such-directive"), std::string::npos) << error.what();
  }
}

TEST(Server, LeavesNothingBehind) {
  const auto descriptors = open_descriptors();
  pid_t pid = 0;
  std::string directory;
  {
    const Server server({.tcp = true});
    pid = server.pid();
    directory = server.directory();
    EXPECT_TRUE(alive(pid));
    EXPECT_TRUE(std::filesystem::exists(directory));
  }
  EXPECT_FALSE(alive(pid));
  EXPECT_FALSE(std::filesystem::exists(directory));
  EXPECT_EQ(open_descriptors(), descriptors);
}

// Its parent is killed, so no destructor runs; only the directory may stay.
TEST(Server, DiesWithTheProcessThatStartedIt) {
  Channel events;
  const ChildProcess parent([&] {
    const Server server;
    events.send(std::to_string(server.pid()));
    events.send(server.directory());
    ::pause();
    return 0;
  });
  const pid_t pid = std::stoi(events.receive(limit).value());
  const auto directory = events.receive(limit).value();
  EXPECT_TRUE(alive(pid));
  parent.kill(SIGKILL);
  EXPECT_TRUE(eventually(limit, [&] { return !alive(pid); }));
  std::filesystem::remove_all(directory);
}

TEST(ChildProcess, EndsWithTheResultOfItsBody) {
  const ChildProcess returning([] { return 7; });
  const ChildProcess throwing([]() -> int { throw std::runtime_error("a test of exceptions"); });
  EXPECT_EQ(returning.wait(limit), exited(7));
  EXPECT_EQ(throwing.wait(limit), exited(99));
}

TEST(ChildProcess, CanBePausedAndKilled) {
  Channel events;
  const ChildProcess child([&] {
    while (true) {
      events.send("running");
      std::this_thread::sleep_for(1ms);
    }
    return 0;
  });
  EXPECT_EQ(events.receive(limit), "running");
  child.pause();
  events.drain();
  EXPECT_EQ(events.receive(quiet_time), std::nullopt);
  child.resume();
  EXPECT_EQ(events.receive(limit), "running");
  EXPECT_TRUE(child.running());
  child.kill(SIGTERM);
  EXPECT_EQ(child.wait(limit), killed_by(SIGTERM));
  EXPECT_EQ(child.wait(0ms), killed_by(SIGTERM));
}

TEST(ChildProcess, RunsAProgramAndKeepsItsOutput) {
  const ChildProcess shell(Program{
      .arguments = {"sh", "-c", "cat; echo \"$COLOUR\" >&2; exit 3"}, .environment = {"COLOUR=blue"}, .input = "text"});
  EXPECT_EQ(shell.wait(limit), exited(3));
  EXPECT_EQ(shell.stdout_text(), "text");
  EXPECT_EQ(shell.stderr_text(), "blue\n");
  const ChildProcess missing(Program{.arguments = {"no-such-program"}});
  EXPECT_EQ(missing.wait(limit), exited(127));
  EXPECT_EQ(missing.stderr_text(), "no-such-program: No such file or directory\n");
}

// A user whose PATH has a directory that may not be read, as one of root's: a program that is nowhere is still "No such file".
TEST(ChildProcess, KnowsAMissingProgramBehindAClosedDirectory) {
  const TempDir directory;
  std::filesystem::create_directory(directory.file("closed"));
  std::filesystem::permissions(directory.file("closed"), std::filesystem::perms::none);
  const ChildProcess user([&] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) return 1;  // root may read all
    ::setenv("PATH", (directory.file("closed") + ":" + ::getenv("PATH")).c_str(), 1);
    const ChildProcess missing(Program{.arguments = {"no-such-program"}});
    if (missing.wait(limit) != exited(127)) return 2;
    if (missing.stderr_text() != "no-such-program: No such file or directory\n") return 3;
    const ChildProcess there(Program{.arguments = {"true"}});
    return there.wait(limit) == exited(0) ? 0 : 4;
  });
  EXPECT_EQ(user.wait(limit), exited(0));
}

// The shell ends at once and leaves a program of its group behind.
TEST(ChildProcess, TakesItsDescendantsAlong) {
  pid_t left_behind = 0;
  {
    const ChildProcess shell(Program{.arguments = {"sh", "-c", "sleep 1000 & echo $!"}});
    EXPECT_EQ(shell.wait(limit), exited(0));
    left_behind = std::stoi(shell.stdout_text());
    EXPECT_TRUE(alive(left_behind));
  }
  EXPECT_TRUE(eventually(limit, [&] { return !alive(left_behind); }));
}

TEST(Channel, KeepsTheLinesOfManyProcessesWhole) {
  constexpr int senders = 4, lines_each = 500;
  const std::string line(50, 'x');
  Channel channel;
  std::vector<ChildProcess> children;
  for (int i = 0; i < senders; ++i) {
    children.emplace_back([&] {
      for (int n = 0; n < lines_each; ++n) channel.send(line);
      return 0;
    });
  }
  for (const auto& child : children) EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_EQ(channel.receive(0ms), line);
  EXPECT_EQ(channel.drain(), std::vector(senders * lines_each - 1, line));
  EXPECT_EQ(channel.receive(0ms), std::nullopt);
}

TEST(ExclusionWitness, CountsThreadsAndProcesses) {
  ExclusionWitness witness;
  const ChildProcess child([&] {
    witness.enter();
    return 0;
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_EQ(witness.inside(), 1);
  std::thread([&] { witness.enter(); }).join();
  witness.leave();
  witness.leave();
  EXPECT_EQ(witness.inside(), 0);
  EXPECT_EQ(witness.most_inside(), 2);
  EXPECT_EQ(witness.entries(), 2);
}

/// What OpenSSL says to the certificate of the server at `port`, if `ca_file` is to be trusted and `client` shown.
long verification_of(std::uint16_t port, const std::string& ca_file, const KeyPair* client = nullptr) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_load_verify_locations(context.get(), ca_file.c_str(), nullptr);
  if (client != nullptr) {
    SSL_CTX_use_certificate_file(context.get(), client->certificate_file.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context.get(), client->key_file.c_str(), SSL_FILETYPE_PEM);
  }
  const std::unique_ptr<SSL, decltype(&SSL_free)> connection(SSL_new(context.get()), SSL_free);
  SSL_set1_host(connection.get(), "localhost");
  const TcpClient socket(port);
  SSL_set_fd(connection.get(), socket.descriptor());
  EXPECT_EQ(SSL_connect(connection.get()), 1);
  const std::string ping = "PING\r\n";
  SSL_write(connection.get(), ping.data(), static_cast<int>(ping.size()));
  std::array<char, 100> answer;
  if (SSL_read(connection.get(), answer.data(), answer.size()) <= 0) return X509_V_ERR_UNSPECIFIED;
  return SSL_get_verify_result(connection.get());
}

TEST(Certificates, AreWhatTheySay) {
  const Certificates certificates;
  const Server good({.tls = certificates.tls(certificates.server())});
  EXPECT_EQ(verification_of(good.tls_port(), certificates.ca_file()), X509_V_OK);
  EXPECT_NE(verification_of(good.tls_port(), certificates.other_ca_file()), X509_V_OK);
  const Server expired({.tls = certificates.tls(certificates.expired_server())});
  EXPECT_EQ(verification_of(expired.tls_port(), certificates.ca_file()), X509_V_ERR_CERT_HAS_EXPIRED);
  const Server elsewhere({.tls = certificates.tls(certificates.wrong_name_server())});
  EXPECT_EQ(verification_of(elsewhere.tls_port(), certificates.ca_file()), X509_V_ERR_HOSTNAME_MISMATCH);

  auto tls = certificates.tls(certificates.server());
  tls.requires_client_certificate = true;
  const Server strict({.tls = tls});
  EXPECT_EQ(verification_of(strict.tls_port(), certificates.ca_file(), &certificates.client()), X509_V_OK);
  EXPECT_EQ(verification_of(strict.tls_port(), certificates.ca_file()), X509_V_ERR_UNSPECIFIED);
}

}  // namespace
}  // namespace redismutex::testing
