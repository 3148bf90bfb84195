#include "support/server.hpp"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "support/eventually.hpp"
#include "support/posix.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto start_limit = 10s;
constexpr auto stop_limit = 5s;
constexpr int port_attempts = 10;

/// A port of 127.0.0.1 that is free at this moment; by the time it is used, it may not be.
std::uint16_t free_port() {
  const Descriptor probe(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  checked(::bind(probe.get(), reinterpret_cast<sockaddr*>(&address), size), "bind");
  checked(::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return ntohs(address.sin_port);
}

bool is_free(std::uint16_t port) {
  const Descriptor probe(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

/// One whose port for the cluster, 10000 above it, is free as well. Both lie below those that the system gives to others.
std::uint16_t free_port_in_cluster() {
  constexpr int first = 11'000, last = 21'999, apart = 10'000;
  std::random_device chance;
  for (;;) {
    const int port = std::uniform_int_distribution{first, last}(chance);
    if (is_free(static_cast<std::uint16_t>(port)) && is_free(static_cast<std::uint16_t>(port + apart))) {
      return static_cast<std::uint16_t>(port);
    }
  }
}

std::vector<std::string> server_program() {
  const char* chosen = std::getenv("REDISMUTEX_TEST_SERVER");
  std::istringstream words(chosen != nullptr ? chosen : "redis-server");
  std::vector<std::string> program;
  for (std::string word; words >> word;) program.push_back(word);
  return program;
}

/// As the program says it; found out once.
Version program_version() {
  static const Version version = [] {
    auto arguments = server_program();
    arguments.push_back("--version");
    const ChildProcess program(Program{.arguments = std::move(arguments)});
    program.wait(start_limit);
    const std::string text = program.stdout_text();
    const auto place = text.find("v=");
    Version found{};
    if (place == std::string::npos) return found;
    std::istringstream numbers(text.substr(place + 2));
    char dot = 0;
    numbers >> found[0] >> dot >> found[1] >> dot >> found[2];
    return found;
  }();
  return version;
}

/// Without what the program does not know yet: channels are nobody's privilege before 6.2.
std::string user_rules(const std::string& rules) {
  if (program_version() >= Version{6, 2, 0}) return rules;
  std::istringstream words(rules);
  std::string known;
  for (std::string word; words >> word;) {
    if (word.front() != '&' && word != "resetchannels" && word != "allchannels") known += word + " ";
  }
  return known;
}

bool is_known(const std::string& directive) {
  return program_version() >= Version{7, 0, 0} || (!directive.starts_with("enable-debug-command") &&
                                                   !directive.starts_with("loading-process-events-interval-bytes"));
}

}  // namespace

Server::Server(ServerOptions options)
    : options_(std::move(options)),
      socket_path_(directory_.file("redis.sock")),
      control_(socket_path_, {"AUTH", "control", "any"}) {
  for (int attempt = 1;; ++attempt) {
    if (options_.tcp) port_ = options_.cluster ? free_port_in_cluster() : free_port();
    if (options_.tls) tls_port_ = free_port();
    write_configuration();
    launch();
    if (wait_until_ready()) return;
    const bool lost_race_for_port = log().find("Address already in use") != std::string::npos;
    if (!lost_race_for_port || attempt == port_attempts) {
      throw std::runtime_error("no server:\n" + log() + process_->stderr_text());
    }
  }
}

void Server::write_configuration() const {
  std::ofstream file(directory_.file("redis.conf"));
  file << "unixsocket " << socket_path_ << "\n"
       << "dir " << directory() << "\n"
       << "bind 127.0.0.1" << (options_.ipv6 ? " ::1" : "") << "\n"
       << "port " << port_ << "\n"
       << "save \"\"\n"
       << "user " << user_rules("control on nopass ~* &* +@all") << "\n";
  if (!options_.password.empty()) file << "requirepass " << options_.password << "\n";
  for (const auto& user : options_.users) file << "user " << user_rules(user) << "\n";
  if (options_.tls) {
    file << "tls-port " << tls_port_ << "\n"
         << "tls-cert-file " << options_.tls->certificate_file << "\n"
         << "tls-key-file " << options_.tls->key_file << "\n"
         << "tls-ca-cert-file " << options_.tls->ca_file << "\n"
         << "tls-auth-clients " << (options_.tls->requires_client_certificate ? "yes" : "no") << "\n";
  }
  for (const auto& directive : options_.directives) {
    if (is_known(directive)) file << directive << "\n";
  }
}

void Server::launch() {
  auto arguments = server_program();
  arguments.push_back(directory_.file("redis.conf"));
  arguments.insert(arguments.end(), options_.arguments.begin(), options_.arguments.end());
  process_.emplace(Program{.arguments = std::move(arguments), .environment = options_.environment});
}

bool Server::wait_until_ready() {
  bool ready = false;
  eventually(start_limit, [&] {
    try {
      ready = command({"PING"}).text == "PONG";
    } catch (const std::runtime_error&) {  // not listening yet
    }
    return ready || !process_->running();
  });
  return ready;
}

std::string Server::url() const {
  return "unix://" + (options_.password.empty() ? "" : ":" + options_.password + "@") + socket_path_;
}

std::string Server::tcp_url() const {
  const auto login = options_.password.empty() ? "" : ":" + options_.password + "@";
  return "redis://" + login + "127.0.0.1:" + std::to_string(port_);
}

std::string Server::tls_url() const {
  const auto login = options_.password.empty() ? "" : ":" + options_.password + "@";
  return "rediss://" + login + "localhost:" + std::to_string(tls_port_);
}

void Server::stop() {
  if (!process_) return;
  process_->kill(SIGTERM);
  process_->resume();  // or a paused server would not see the signal
  process_->wait(stop_limit);
  kill();
}

void Server::kill() {
  process_.reset();
  control_.disconnect();
}

void Server::start() {
  stop();
  launch();
  if (!wait_until_ready()) throw std::runtime_error("no server:\n" + log());
}

std::optional<std::string> Server::get(const std::string& key) {
  const auto reply = command({"GET", key});
  if (reply.is_error()) throw std::runtime_error("GET " + key + ": " + reply.text);
  return reply.is_nil() ? std::nullopt : std::optional(reply.text);
}

bool Server::exists(const std::string& key) { return command({"EXISTS", key}).integer == 1; }

long long Server::pttl(const std::string& key) { return command({"PTTL", key}).integer; }

std::vector<std::string> Server::keys() {
  std::vector<std::string> keys;
  for (const auto& key : command({"KEYS", "*"}).elements) keys.push_back(key.text);
  std::sort(keys.begin(), keys.end());
  return keys;
}

std::map<std::string, long long> Server::command_calls() {
  const std::string prefix = "cmdstat_";
  const std::string calls = "calls=";
  std::map<std::string, long long> result;
  for (const auto& [field, value] : info("commandstats")) {
    result[field.substr(prefix.size())] = std::stoll(value.substr(value.find(calls) + calls.size()));
  }
  return result;
}

int Server::connected_clients() { return std::stoi(info("clients").at("connected_clients")) - 1; }

std::string Server::product() { return info("server").contains("valkey_version") ? "valkey" : "redis"; }

Version Server::version() {
  const auto fields = info("server");
  std::istringstream text(fields.at(fields.contains("valkey_version") ? "valkey_version" : "redis_version"));
  Version version{};
  char dot = 0;
  text >> version[0] >> dot >> version[1] >> dot >> version[2];
  return version;
}

std::map<std::string, std::string> Server::info(const std::string& section) {
  std::map<std::string, std::string> fields;
  std::istringstream lines(command({"INFO", section}).text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const auto colon = line.find(':');
    if (colon != std::string::npos) fields[line.substr(0, colon)] = line.substr(colon + 1);
  }
  return fields;
}

}  // namespace redismutex::testing
