#include "doctor_checks.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <redismutex/operate.hpp>
#include <redismutex/printable.hpp>
#include <redismutex/redismutex.hpp>
#include <set>
#include <utility>
#include <vector>

#include "doctor_rights.hpp"
#include "server_facts.hpp"
#include "shared/embedded_place.hpp"
#include "shared/shell_word.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr long long keys_that_delay_ls = 100'000;

Latency measure_latency(const Connection& connection) {
  constexpr std::size_t pings = 100;
  constexpr auto between_pings = 500us;
  std::vector<nanoseconds> times;
  times.reserve(pings);
  Latency latency;
  for (std::size_t i = 0; i < pings; ++i) {
    times.push_back(ask(connection, std::array<std::string, 1>{"PING"}).round_trip);
    const auto began = std::chrono::steady_clock::now();
    for (auto before = began; before < began + between_pings;) {
      const auto now = std::chrono::steady_clock::now();
      latency.intrinsic = std::max<nanoseconds>(latency.intrinsic, now - before);
      before = now;
    }
  }
  std::sort(times.begin(), times.end());
  latency.shortest = times.front();
  latency.middle = times[pings / 2];
  latency.longest = times.back();
  return latency;
}

constexpr auto same_url = "give both sides the same URL";

bool is_embedded(const ConnectionOptions& server) { return server.unix_socket == embedded_socket(); }

bool is_cluster(const ConnectionOptions& server) { return server.kind == ConnectionOptions::Kind::cluster; }

/// One server of a cluster.
ConnectionOptions one_of(const ConnectionOptions& cluster, const ServerAddress& address) {
  ConnectionOptions one = cluster;
  one.kind = ConnectionOptions::Kind::single;
  one.nodes.clear();
  one.host = address.host;
  one.port = address.port;
  return one;
}

/// Throws what cluster_masters() throws.
std::vector<ConnectionOptions> servers_of(const ConnectionOptions& server) {
  if (!is_cluster(server)) return {server};
  std::vector<ConnectionOptions> all;
  for (const ServerAddress& master : cluster_masters(Connection{server})) all.push_back(one_of(server, master));
  return all;
}

std::string address_of(const ConnectionOptions& server) {
  // As URLs have it.
  const bool is_version_6 = server.host.find(':') != std::string::npos;
  return (is_version_6 ? "[" + server.host + "]" : server.host) + ":" + std::to_string(server.port);
}

/// By which they know themselves; empty: one of them does not tell.
std::set<std::string> run_ids_of(const ConnectionOptions& server) {
  std::set<std::string> all;
  for (const ConnectionOptions& each : servers_of(server)) {
    const std::string id = read_facts(Connection{each}).info("run_id");
    if (id.empty()) return {};
    all.insert(id);
  }
  return all;
}

/// One visit: asks, and writes down what it finds.
class Doctor {
 public:
  enum class Of { whole, part_of_a_cluster };

  explicit Doctor(const Examination& examination, Of what = Of::whole)
      : examination_{examination}, what_{what}, way_{way_to(examination.server)}, connection_{examination.server} {}

  Findings examine() {
    note_trouble(way_, {}, [this] { is_cluster(examination_.server) ? see_cluster() : see_server(); });
    return std::move(findings_);
  }

  /// How many keys it has, as far as it tells.
  const std::optional<long long>& key_count() const noexcept { return key_count_; }

 private:
  /// `check`: of which trouble is a finding; empty: of the server, or of the login.
  template <class See>
  void note_trouble(const Way& way, const std::string& check, const See& see) {
    try {
      see();
    } catch (const LoginError& error) {
      add(check.empty() ? "login" : check, Level::critical, error.what(),
          "put the login into the URL: redis://USER:PASSWORD@HOST");
    } catch (const Error& error) {
      add(check.empty() ? "server" : check, Level::critical, error.what(), way.command("PING"));
    }
  }

  /// Gives the user of the URL rights.
  std::string grant(const std::vector<std::string>& rights) const {
    return way_.admin_command("ACL SETUSER " + shell_word(user_of(examination_.server)) + shell_words(rights));
  }

  void see_server() {
    if (!reach()) return;
    latency();
    clock();
    if (facts_.may_ask) what_it_says();
    const auto size = ask(connection_, std::array<std::string, 1>{"DBSIZE"});
    if (!size.refused) key_count_ = std::atoll(size.text.c_str());
    if (what_ == Of::whole) keys();
    rights();
    if (what_ == Of::whole) see_locks();
  }

  void see_locks() {
    compare();
    if (examination_.writes) write();
  }

  /// Each of its servers, and then what they are together.
  void see_cluster() {
    key_count_ = 0;
    for (const ConnectionOptions& server : servers_of_cluster()) {
      const Examination part{.server = server,
                             .name = display_name(server),
                             .words = examination_.words,
                             .writes = examination_.writes,
                             .key = examination_.key};
      Doctor doctor{part, Of::part_of_a_cluster};
      Findings found = doctor.examine();
      for (Finding& each : found) each.server = address_of(server);
      add(std::move(found));
      const auto count = doctor.key_count();
      key_count_ = key_count_ && count ? std::optional{*key_count_ + *count} : std::nullopt;
    }
    keys();
    see_locks();
  }

  std::vector<ConnectionOptions> servers_of_cluster() {
    try {
      return servers_of(examination_.server);
    } catch (const ServerError& error) {
      if (error.reason() != ServerError::Reason::no_permission) throw;
    }
    add("rights of the doctor", Level::warning, "CLUSTER SLOTS is refused: only the servers in the URL are examined",
        grant({"+cluster|slots"}));
    std::vector<ConnectionOptions> named;
    named.reserve(examination_.server.nodes.size());
    for (const ServerAddress& node : examination_.server.nodes) named.push_back(one_of(examination_.server, node));
    return named;
  }

  void add(std::string check, Level level, std::string text, std::string remedy = {}) {
    findings_.push_back({std::move(check), level, std::move(text), std::move(remedy)});
  }

  void add(Findings findings) { std::move(findings.begin(), findings.end(), std::back_inserter(findings_)); }

  /// Whether it is a server that can be examined.
  bool reach() {
    const auto first = ask(connection_, std::array<std::string, 1>{"PING"});
    if (first.refused) {
      add("server", Level::critical, "it does not work at present: " + first.text,
          first.text.starts_with("BUSY") ? way_.command("SCRIPT KILL") : "wait until it is ready");
      return false;
    }
    facts_ = read_facts(connection_);
    way_.has_file = facts_.has_file();
    const auto& tls = examination_.server.tls;
    if (tls && !tls->verify) {
      add("reached", Level::warning, examination_.name + ", and its certificate is not verified: it may be any server",
          "leave verify=no out of the URL; ca_file=FILE names an authority to trust");
    } else {
      add("reached", Level::good, examination_.name + (tls ? ", TLS, certificate verified" : ", without TLS"));
    }
    if (!facts_.may_ask) {
      add("rights of the doctor", Level::warning, "INFO is refused: most cannot be checked",
          grant({"+info", "+config|get"}));
      return true;
    }
    if (ask(connection_, std::array<std::string, 2>{"CLIENT", "ID"}).refused) {
      add("proxy", Level::warning, "CLIENT ID is refused: a proxy may stand in between, which can not wake waiters",
          "connect to the server itself");
    }
    add(judge_version(facts_));
    add(judge_role(facts_));
    if (what_ == Of::part_of_a_cluster) {
      const auto state = ask(connection_, std::array<std::string, 2>{"CLUSTER", "INFO"});
      if (!state.refused) add(judge_cluster(state.text, way_));
    } else if (examination_.server.kind == ConnectionOptions::Kind::single) {
      const bool is_local = !examination_.server.unix_socket.empty();
      add(judge_single(facts_, is_local ? "HOST:PORT" : address_of(examination_.server)));
    }
    return true;
  }

  /// A standstill that is not there again is the machine's, or nobody's.
  void latency() {
    constexpr int most_tries = 3;
    Findings found;
    for (int i = 0; i < most_tries; ++i) {
      found = judge_latency(measure_latency(connection_), way_);
      if (found.front().level == Level::good) break;
    }
    add(std::move(found));
  }

  void clock() {
    const auto before = std::chrono::system_clock::now();
    const auto answer = ask(connection_, std::array<std::string, 1>{"TIME"});
    if (answer.list.size() != 2) return;
    const auto here = before + answer.round_trip / 2;
    const auto there =
        std::chrono::system_clock::time_point{std::chrono::seconds{std::atoll(answer.list[0].c_str())} +
                                              std::chrono::microseconds{std::atoll(answer.list[1].c_str())}};
    add(judge_clock(there - here, answer.round_trip / 2));
  }

  void what_it_says() {
    add(judge_stalls(facts_));
    add(judge_memory(facts_, way_));
    if (is_embedded(examination_.server)) {
      add("persistence", Level::good, "a server of this user's own, which is there as long as it is used");
    } else {
      add(judge_persistence(facts_, way_));
    }
    add(judge_replicas(facts_, way_));
    add(judge_clients(facts_, way_));
    const auto patterns = ask(connection_, std::array<std::string, 2>{"PUBSUB", "NUMPAT"});
    std::optional<long long> subscribers;
    if (!patterns.refused) subscribers = std::atoll(patterns.text.c_str());
    add(judge_waking(facts_, subscribers, way_));
  }

  void keys() {
    if (!key_count_) return;
    const std::string count =
        std::to_string(*key_count_) + (is_cluster(examination_.server) ? " in this cluster" : " in this database");
    if (*key_count_ > keys_that_delay_ls) {
      add("keys", Level::good, count + ": redismutex ls is slow here; a database for locks alone is better");
      return;
    }
    add("keys", Level::good, count);
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
    // It may as well be data: nothing that changes it is proposed.
    add("locks without an end", Level::warning,
        "'" + printable(endless) +
            "' has a UUID for its value and no TTL: if that is a lock of a program without redismutex, it never ends",
        own_command("status", examination_.words, endless));
  }

  void rights() {
    const TriedKey& key = examination_.key;
    const auto missing = missing_rights(connection_, facts_.version(), key);
    if (!missing) {
      if (examination_.writes) return;
      const std::string with_key = key.is_locked ? " --key " + shell_word(key.name) : "";
      return add("rights", Level::warning,
                 "not checked: the server does not tell (ACL DRYRUN); --write takes a lock to find out",
                 "redismutex doctor --write" + with_key + examination_.words);
    }
    const std::string tried =
        "tried with the key '" + printable(key.name) + "'" + (key.is_locked ? "" : "; --key names another");
    if (missing->rights.empty()) return add("rights", Level::good, "all that locks need, " + tried);
    std::string list;
    for (const auto& right : missing->rights) list += " " + right;
    add("rights", missing->are_vital ? Level::critical : Level::warning,
        "the user '" + printable(missing->user) + "' lacks" + list + ", " + tried, grant(missing->rights));
  }

  void compare() {
    if (!examination_.compare) return;
    const ConnectionOptions other = parse_url(*examination_.compare);
    const auto here = run_ids_of(examination_.server);
    note_trouble(way_to(other), "compare", [&] {
      const auto there = run_ids_of(other);
      if (here == there && !here.empty() && other.db != examination_.server.db) return compare_databases(other.db);
      compare(here, there);
    });
  }

  void compare_databases(int other) {
    add("compare", Level::critical,
        "the same server, but databases " + std::to_string(examination_.server.db) + " and " + std::to_string(other) +
            ": locks do not exclude each other",
        same_url);
  }

  void compare(const std::set<std::string>& here, const std::set<std::string>& there) {
    const bool is_one = here.size() == 1 && there.size() == 1;
    const bool is_part = std::includes(here.begin(), here.end(), there.begin(), there.end()) ||
                         std::includes(there.begin(), there.end(), here.begin(), here.end());
    if (here.empty() || there.empty()) {
      add("compare", Level::warning, "the servers do not tell who they are (INFO)");
    } else if (here == there) {
      add("compare", Level::good, is_one ? "both URLs lead to the same server" : "both URLs lead to the same servers");
    } else {
      add("compare", Level::critical,
          is_part  ? "one URL leads to a cluster, the other to some of its servers only"
          : is_one ? "the URLs lead to two servers: locks of one do not exclude those of the other"
                   : "the URLs lead to other servers: locks of one do not exclude those of the other",
          same_url);
    }
  }

  void write() {
    try {
      take_a_lock();
    } catch (const ServerError& error) {
      if (error.reason() != ServerError::Reason::no_permission) throw;
      add("write", Level::critical, error.what(), grant(rights_for_locks(facts_.version())));
    }
  }

  void take_a_lock() {
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
  const Of what_;
  Way way_;
  Connection connection_;
  ServerFacts facts_;
  std::optional<long long> key_count_;
  Findings findings_;
};

}  // namespace

Findings examine(const Examination& examination) { return Doctor{examination}.examine(); }

}  // namespace redismutex::cli
