#include "doctor_checks.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>
#include <redismutex/operate.hpp>
#include <redismutex/printable.hpp>
#include <redismutex/redismutex.hpp>
#include <sstream>
#include <string_view>

#include "doctor_rights.hpp"
#include "server_facts.hpp"
#include "shared/quoted.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr long long many_keys = 100'000;

std::string milliseconds_text(nanoseconds duration) {
  std::ostringstream text;
  text.precision(3);
  text << std::chrono::duration<double, std::milli>{duration}.count() << " ms";
  return text.str();
}

/// One visit: asks, and writes down what it finds.
class Doctor {
 public:
  explicit Doctor(const Examination& examination) : examination_{examination}, connection_{examination.server} {}

  std::vector<Finding> examine() {
    try {
      if (!reach()) return std::move(findings_);
      latency();
      clock();
      memory();
      persistence();
      replicas();
      clients();
      waking();
      keys();
      rights();
      compare();
      if (examination_.writes) write();
    } catch (const LoginError& error) {
      add("login", Level::critical, error.what(), "put the login into the URL: redis://USER:PASSWORD@HOST");
    } catch (const Error& error) {
      add("server", Level::critical, error.what(), "redis-cli " + where() + " PING");
    }
    return std::move(findings_);
  }

 private:
  void add(std::string check, Level level, std::string text, std::string remedy = {}) {
    findings_.push_back({std::move(check), level, std::move(text), std::move(remedy)});
  }

  /// The options by which redis-cli gets to the same server; its password is for $REDISCLI_AUTH.
  std::string where() const {
    const auto& server = examination_.server;
    std::string options = server.unix_socket.empty()
                              ? "-h " + quoted(server.host) + " -p " + std::to_string(server.port)
                              : "-s " + quoted(server.unix_socket);
    if (!server.username.empty()) options += " --user " + quoted(server.username);
    if (server.tls) options += " --tls";
    return options;
  }

  std::string set(const std::string& name, const std::string& value) const {
    return "redis-cli " + where() + " CONFIG SET " + name + " " + value;
  }

  /// Whether it is a server that can be examined.
  bool reach() {
    const auto first = ask(connection_, std::array<std::string, 1>{"PING"});
    if (first.refused) {
      add("server", Level::critical, "it does not work at present: " + first.text,
          first.text.starts_with("BUSY") ? "redis-cli " + where() + " SCRIPT KILL" : "wait until it is ready");
      return false;
    }
    facts_ = read_facts(connection_);
    const auto& tls = examination_.server.tls;
    if (tls && !tls->verify) {
      add("reached", Level::warning, examination_.name + ", and its certificate is not verified: it may be any server",
          "leave verify=no out of the URL; ca_file=FILE names an authority to trust");
    } else {
      add("reached", Level::good, examination_.name + (tls ? ", TLS, certificate verified" : ", without TLS"));
    }
    if (!facts_.may_ask) {
      add("rights of the doctor", Level::warning, "INFO is refused: most cannot be checked",
          "redis-cli " + where() + " ACL SETUSER USER +info +config|get");
      return true;
    }
    if (ask(connection_, std::array<std::string, 2>{"CLIENT", "ID"}).refused) {
      add("proxy", Level::warning, "CLIENT ID is refused: a proxy may stand in between, which can not wake waiters",
          "connect to the server itself");
    }
    const auto version = facts_.version();
    const bool is_old = version.major < 6;
    add("version", is_old ? Level::critical : Level::good, facts_.product() + " " + version.text,
        is_old ? "upgrade to Redis 6.0 or newer, or any Valkey" : "");
    const auto role = facts_.info("role");
    if (role == "slave") {
      add("role", Level::critical, "it is a replica: locks can not be taken here",
          "use its primary: --url redis://" + facts_.info("master_host") + ":" + facts_.info("master_port"));
    } else {
      add("role", Level::good, role == "master" ? "primary" : role);
    }
    return true;
  }

  void latency() {
    constexpr int pings = 100;
    constexpr auto much = 10ms;
    std::vector<nanoseconds> times;
    times.reserve(pings);
    for (int i = 0; i < pings; ++i) times.push_back(ask(connection_, std::array<std::string, 1>{"PING"}).round_trip);
    std::sort(times.begin(), times.end());
    const auto middle = times[pings / 2];
    add("latency", middle > much ? Level::warning : Level::good,
        "100 pings: middle " + milliseconds_text(middle) + ", longest " + milliseconds_text(times.back()),
        middle > much ? "redis-cli " + where() + " --latency; a hand-over takes two of these" : "");
  }

  void clock() {
    constexpr auto much = 1s;
    const auto before = std::chrono::system_clock::now();
    const auto answer = ask(connection_, std::array<std::string, 1>{"TIME"});
    if (answer.list.size() != 2) return;
    const auto here = before + answer.round_trip / 2;
    const auto there =
        std::chrono::system_clock::time_point{std::chrono::seconds{std::atoll(answer.list[0].c_str())} +
                                              std::chrono::microseconds{std::atoll(answer.list[1].c_str())}};
    const auto offset = std::chrono::duration_cast<nanoseconds>(there - here);
    const bool is_off = std::chrono::abs(offset) > much;
    add("clock", is_off ? Level::warning : Level::good,
        "the server's differs from ours by " + milliseconds_text(offset) + ", +- " +
            milliseconds_text(answer.round_trip / 2) + (is_off ? ": the times of holders and waiters lie" : ""),
        is_off ? "timedatectl set-ntp true" : "");
  }

  void memory() {
    if (!facts_.may_ask) return;
    const auto most = facts_.number("maxmemory");
    const auto policy = facts_.info("maxmemory_policy");
    if (most > 0 && !policy.empty() && policy != "noeviction") {
      add("maxmemory-policy", Level::critical, policy + ": under memory pressure locks are deleted while they are held",
          set("maxmemory-policy", "noeviction"));
    } else {
      add("maxmemory-policy", Level::good, most > 0 ? policy : "no limit");
    }
    const auto used = facts_.number("used_memory");
    if (most > 0 && used * 10 > most * 9) {
      add("memory", Level::warning,
          std::to_string(used * 100 / most) + " % of maxmemory are used; at 100 % no lock can be taken",
          set("maxmemory", std::to_string(most * 2)));
    }
  }

  void persistence() {
    if (!facts_.may_ask) return;
    if (facts_.info("aof_enabled") != "1") {
      add("persistence", Level::warning,
          "no append-only file: a server that is restarted has forgotten all locks, and two may be inside",
          set("appendonly", "yes"));
    } else if (facts_.config("appendfsync") == "no") {
      add("persistence", Level::warning,
          "appendfsync no: a machine that crashes forgets the locks of the last 30 s or so",
          set("appendfsync", "everysec"));
    } else {
      add("persistence", Level::good, "append-only file, appendfsync " + facts_.config("appendfsync", "unknown"));
    }
  }

  void replicas() {
    if (!facts_.may_ask) return;
    const auto count = facts_.number("connected_slaves");
    const auto needed = facts_.config("min-replicas-to-write", "unknown");
    const bool is_open = count > 0 && needed == "0";
    add("replicas", is_open ? Level::warning : Level::good,
        std::to_string(count) + ", min-replicas-to-write " + needed +
            (is_open ? ": a primary that is cut off grants locks that its successor does not know" : ""),
        is_open ? set("min-replicas-to-write", "1") : "");
  }

  void clients() {
    if (!facts_.may_ask) return;
    const auto connected = facts_.number("connected_clients");
    const auto most = std::atoll(facts_.config("maxclients", facts_.info("maxclients")).c_str());
    const bool is_full = most > 0 && connected * 10 > most * 9;
    add("maxclients", is_full ? Level::warning : Level::good,
        std::to_string(connected) + " connections of " + (most > 0 ? std::to_string(most) : "unknown"),
        is_full ? set("maxclients", std::to_string(most * 2)) : "");
    if (!facts_.may_configure) {
      add("configuration", Level::good, "CONFIG GET is refused: what needs it is not checked (+config|get)");
      return;
    }
    const auto timeout = facts_.config("timeout", "0");
    if (timeout != "0") {
      add("timeout", Level::warning,
          timeout + ": the server closes connections that are idle for so many seconds; each is made anew",
          set("timeout", "0"));
    }
    const auto limit = pubsub_limit(facts_.config("client-output-buffer-limit"));
    constexpr long long little = 1024 * 1024;
    if (limit > 0 && limit < little) {
      add("client-output-buffer-limit", Level::warning,
          "pubsub " + std::to_string(limit) + " bytes: waiters that are slow are cut off",
          set("client-output-buffer-limit", "'pubsub 32mb 8mb 60'"));
    }
  }

  /// Of the hard limit in "normal 0 0 0 slave … pubsub 33554432 8388608 60".
  static long long pubsub_limit(const std::string& limits) {
    std::istringstream words{limits};
    for (std::string word; words >> word;) {
      long long limit = 0;
      if (word == "pubsub" && words >> limit) return limit;
    }
    return 0;
  }

  void waking() {
    if (!facts_.may_ask) return;
    const auto most = std::atoll(facts_.config("tracking-table-max-keys", "0").c_str());
    const auto tracked = facts_.number("tracking_total_keys");
    if (most > 0 && tracked * 10 > most * 9) {
      add("tracking table", Level::warning,
          std::to_string(tracked) + " keys of " + std::to_string(most) + ": holders are told of losses late",
          set("tracking-table-max-keys", std::to_string(most * 2)));
    }
    const auto patterns = ask(connection_, std::array<std::string, 2>{"PUBSUB", "NUMPAT"});
    // From 7.0 on waiters are woken in another way, which patterns do not see.
    const bool is_seen = !patterns.refused && patterns.text != "0" && facts_.version().major < 7;
    if (is_seen) {
      add("pattern subscribers", Level::warning,
          patterns.text + " clients use PSUBSCRIBE: they get what wakes waiters, too, at each hand-over",
          "redis-cli " + where() + " CLIENT LIST TYPE pubsub");
    }
  }

  void keys() {
    const auto size = ask(connection_, std::array<std::string, 1>{"DBSIZE"});
    if (size.refused) return;
    if (std::atoll(size.text.c_str()) > many_keys) {
      add("keys", Level::good,
          size.text + " in this database: redismutex ls is slow here; a database for locks alone is better");
      return;
    }
    add("keys", Level::good, size.text + " in this database");
    std::string endless;
    try {
      scan(connection_, {.all = true, .inspect = {.waiters = 0, .clients = false}}, [&](const Inspection& seen) {
        if (seen.state == Inspection::State::foreign && !seen.lease_left) endless = seen.key;
        return endless.empty();
      });
    } catch (const ServerError&) {
      return;  // no right to look
    }
    if (endless.empty()) return;
    add("locks without an end", Level::warning, "the lock '" + printable(endless) + "' never ends by itself",
        "redis-cli " + where() + " PEXPIRE " + quoted(endless) + " 60000");
  }

  void rights() {
    const auto missing = missing_rights(connection_, facts_.version());
    if (!missing) {
      if (!examination_.writes) {
        add("rights", Level::good,
            "not checked: the server does not tell (ACL DRYRUN); --write takes a lock to find out");
      }
      return;
    }
    if (missing->rights.empty()) return add("rights", Level::good, "all that locks need");
    std::string list;
    for (const auto& right : missing->rights) list += " " + right;
    add("rights", missing->are_vital ? Level::critical : Level::warning,
        "the user '" + printable(missing->user) + "' lacks" + list,
        "redis-cli " + where() + " ACL SETUSER " + quoted(missing->user) + quoted_each(missing->rights));
  }

  void compare() {
    if (!examination_.compare) return;
    const Connection other{*examination_.compare};
    const auto facts = read_facts(other);
    const auto here = facts_.info("run_id");
    const auto there = facts.info("run_id");
    if (here.empty() || there.empty()) {
      add("compare", Level::warning, "the servers do not tell who they are (INFO)");
    } else if (here == there) {
      add("compare", Level::good, "both URLs lead to the same server");
    } else {
      add("compare", Level::critical, "the URLs lead to two servers: locks of one do not exclude those of the other",
          "give both sides the same URL");
    }
  }

  void write() {
    const auto key = "redismutex-doctor:" + unique_text();
    const RedisMutex mutex{connection_, {.blocking = false, .expiry = 10s, .label = "doctor"}};
    auto lock = mutex.acquire_lock(key);
    lock.extend();
    const Connection another{examination_.server};
    const RedisMutex waits{another, {.blocking = false, .delay = 20ms}};
    static_cast<void>(waits.try_acquire_lock_for(key, 100ms));
    lock.release();
    add("write", Level::good, "a lock was taken, renewed, waited for and given back");
  }

  const Examination& examination_;
  Connection connection_;
  ServerFacts facts_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> examine(const Examination& examination) { return Doctor{examination}.examine(); }

}  // namespace redismutex::cli
