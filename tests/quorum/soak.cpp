// quorum_soak [GRANTS [SEED]]: processes take a lock of five servers in turns, while up to two of these at a time are frozen, or killed and
// started again without their data. Ends after so many grants (20,000), and prints what came of it. The exit status is 1 if two were inside
// together, or a fencing token did not rise.

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <new>
#include <random>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "quorum/quorum_servers.hpp"
#include "support/eventually.hpp"
#include "support/process.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int processes = 4;
constexpr int threads_a_process = 2;
constexpr milliseconds expiry = 2s;
constexpr milliseconds block_time = 1500ms;
constexpr milliseconds enough = 500ms;  // of a lease that is entered: more than a busy machine takes to run a thread
constexpr milliseconds longest_trouble = 1500ms;
constexpr std::size_t most_troubled = 2;

/// In memory that all processes share.
struct Tally {
  std::atomic<std::uint64_t> grants{0};
  std::atomic<std::uint64_t> overlaps{0};   // somebody was inside already
  std::atomic<std::uint64_t> overstays{0};  // somebody left later than its lease ended
  std::atomic<std::uint64_t> low_tokens{0};
  std::atomic<std::uint64_t> vain{0};  // attempts that ended without the lock
  std::atomic<int> inside{0};
  std::atomic<std::uint64_t> last_token{0};
  std::atomic<bool> over{false};
};

Tally& shared_tally() {
  void* const memory = ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error{"no shared memory"};
  return *new (memory) Tally;
}

// ---- workers --------------------------------------------------------------------------------------------------------

void stay(Tally& tally, Lock& lock, std::mt19937_64& random) {
  if (lock.valid_for() < enough) return;
  const std::uint64_t token = lock.fencing_token().value_or(0);
  if (tally.inside.fetch_add(1) != 0) ++tally.overlaps;
  if (tally.last_token.exchange(token) >= token) ++tally.low_tokens;
  ++tally.grants;
  std::this_thread::sleep_for(std::chrono::microseconds{random() % 500});
  tally.inside.fetch_sub(1);
  if (!lock.owns_lock()) ++tally.overstays;
}

void work(Tally& tally, const RedisMutex& mutex, std::uint64_t seed) {
  std::mt19937_64 random{seed};
  while (!tally.over) {
    try {
      Lock lock = mutex.acquire_lock("job");
      stay(tally, lock, random);
      lock.release();
    } catch (
        const Error&) {  // too few servers, or the time was up, or a majority was restarted: then nobody else was inside
      ++tally.vain;
    }
  }
}

int be_process(Tally& tally, QuorumServers& servers, std::uint64_t seed) {
  std::vector<Connection> members;
  for (const Server& server : servers) {
    ConnectionOptions options{.connect_timeout = 300ms, .command_timeout = 300ms};
    options.unix_socket = server.socket_path();
    members.emplace_back(options);
  }
  const RedisMutex mutex{Connection::quorum(std::move(members), {.grace = expiry}),
                         {.block_time = block_time, .expiry = expiry, .fencing = true}};
  std::vector<std::jthread> threads;
  for (int i = 0; i < threads_a_process; ++i) {
    threads.emplace_back([&, i] { work(tally, mutex, seed + static_cast<std::uint64_t>(i)); });
  }
  return 0;
}

// ---- troubles -------------------------------------------------------------------------------------------------------

/// Until its votes count again.
void wait_for_age(Server& server) {
  const std::string field = "uptime_in_seconds:";
  const bool is_old = eventually(60s, [&] {
    const std::string info = server.command({"INFO", "server"}).text;
    const std::chrono::seconds uptime{std::atoi(info.c_str() + info.find(field) + field.size())};
    return uptime >= expiry + 2s;
  });
  if (!is_old) throw std::runtime_error{"a server does not grow older"};
}

class Troubles {
 public:
  Troubles(QuorumServers& servers, std::uint64_t seed) : servers_{servers}, random_{seed} {}

  /// One or two servers are in trouble at once, each in its own way; then all are well again.
  void provoke() {
    std::array<std::size_t, QuorumServers::count> order{0, 1, 2, 3, 4};
    std::shuffle(order.begin(), order.end(), random_);
    const std::size_t count = 1 + random_() % most_troubled;
    std::vector<std::size_t> restarted;
    std::vector<std::size_t> frozen;
    for (std::size_t i = 0; i < count; ++i) {
      const bool freezes = random_() % 3 == 0;
      ++counts[freezes ? "frozen" : "restarted empty"];
      if (freezes) {
        servers_[order.at(i)].pause();
        frozen.push_back(order.at(i));
      } else {
        servers_[order.at(i)].kill();
        restarted.push_back(order.at(i));
      }
      rest();
    }
    rest();
    for (const std::size_t server : frozen) servers_[server].resume();
    for (const std::size_t server : restarted) servers_[server].start();
    for (const std::size_t server : restarted) wait_for_age(servers_[server]);
  }

  std::map<std::string, int> counts;

 private:
  void rest() {
    const auto longest = static_cast<std::uint64_t>(longest_trouble.count());
    std::this_thread::sleep_for(milliseconds{random_() % longest});
  }

  QuorumServers& servers_;
  std::mt19937_64 random_;
};

int soak(std::uint64_t wanted, std::uint64_t seed) {
  QuorumServers servers;
  for (Server& server : servers) wait_for_age(server);
  Tally& tally = shared_tally();
  std::vector<ChildProcess> workers;
  for (int i = 0; i < processes; ++i) {
    workers.emplace_back([&, i] { return be_process(tally, servers, seed + 100 * static_cast<std::uint64_t>(i)); });
  }
  Troubles troubles{servers, seed};
  const auto began = steady_clock::now();
  while (tally.grants < wanted) troubles.provoke();
  tally.over = true;
  for (ChildProcess& worker : workers) {
    if (worker.wait(60s) != exited(0)) throw std::runtime_error{"a worker did not end well"};
  }
  std::cout << "seed " << seed << ": " << tally.grants << " grants in "
            << std::chrono::duration_cast<std::chrono::seconds>(steady_clock::now() - began).count() << " s, "
            << tally.vain << " attempts in vain";
  for (const auto& [what, times] : troubles.counts) std::cout << ", " << times << " x " << what;
  std::cout << "; overlaps " << tally.overlaps << ", stays beyond the lease " << tally.overstays
            << ", tokens that did not rise " << tally.low_tokens << std::endl;
  return tally.overlaps == 0 && tally.low_tokens == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace redismutex::testing

int main(int count, char** arguments) try {
  const std::uint64_t wanted = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 20'000;
  return redismutex::testing::soak(wanted,
                                   count > 2 ? std::strtoull(arguments[2], nullptr, 10) : std::random_device{}());
} catch (const std::exception& error) {
  std::cerr << "quorum_soak: " << error.what() << '\n';
  return EXIT_FAILURE;
}
