// faults_worker URL DIARY REGISTER FIRST_CLIENT SEED EPOCH_NS LONG_STAYS HURRYING: takes locks in every way there is until the register says stop, uses
// them for a while, and writes down what it believes: see faults/trial.hpp. Each of its threads is one client,
// but for HURRYING ones more of a worker with an Observer: see faults/hurry.hpp.

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "faults/balance.hpp"
#include "faults/diary.hpp"
#include "faults/hurry.hpp"
#include "faults/register.hpp"
#include "faults/setting.hpp"
#include "sim/random.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;
using histories::Event;
using sim::Random;
using std::chrono::nanoseconds;
using Kind = Event::Kind;

struct Place {
  const Diary& diary;
  Register& resource;
  bool observed;
  Connection connection;
  int long_stays;  ///< of a thousand, so many are longer than a lease
};

ConnectionOptions connection_options(std::string_view url, bool observed) {
  ConnectionOptions options = parse_url(url);
  options.connect_timeout = connect_timeout;
  options.command_timeout = command_timeout;
  if (observed) options.observer = std::make_shared<Balance>();
  return options;
}

/// A stay inside, from the lock's having been taken to its having been given back.
class Stay {
 public:
  Stay(Place& place, Random& random, Event event, std::size_t key, Lock lock)
      : place_{place}, random_{random}, event_{std::move(event)}, key_{key}, lock_{std::move(lock)} {}

  void begin() {
    // Read in this order, the end can only be too early.
    const nanoseconds here = place_.diary.now();
    until_ = here + lock_.valid_for();
    note(Kind::inside, place_.diary.now(), until_);
    if (random_.chance(300'000)) {
      told_.emplace(lock_.lost_token(), Teller{this});
    }
  }

  void spend(nanoseconds length) {
    const nanoseconds leave_at = place_.diary.now() + length;
    const bool extends = random_.chance(100'000);
    write();
    for (nanoseconds here = place_.diary.now(); here < leave_at; here = place_.diary.now()) {
      std::this_thread::sleep_for(std::min<nanoseconds>(leave_at - here, random_.between(1ms, 10ms)));
      if (extends && random_.chance(100'000)) extend();
      look();
      write();
    }
  }

  void end() {
    note(Kind::release, place_.diary.now());
    try {
      lock_.release();
      note(Kind::released, place_.diary.now());
    } catch (const MutexUnlockError&) {
      note(Kind::gone, place_.diary.now());
    } catch (const Error&) {
      note(Kind::unclear, place_.diary.now());
    }
    told_.reset();
  }

 private:
  struct Teller {
    Stay* stay;
    void operator()() const { stay->note(Kind::lost, stay->place_.diary.now()); }
  };

  void note(Kind kind, nanoseconds time, nanoseconds until = 0ns) const {
    Event event = event_;
    event.kind = kind;
    event.time = time;
    event.until = until;
    event.token = kind == Kind::inside || kind == Kind::denied ? lock_.fencing_token().value_or(0) : 0;
    place_.diary.note(event);
  }

  /// What is known of the lease now.
  void look() {
    const nanoseconds here = place_.diary.now();
    const nanoseconds left = lock_.valid_for();
    if (left > 0ns && here + left > until_ + 1ms) {
      until_ = here + left;
      note(Kind::lease, here, until_);
    } else if (left == 0ns && !std::exchange(knows_, true) && !told_) {
      note(Kind::lost, here);
    }
  }

  /// Whoever is not inside any more writes nevertheless: it is for the resource to refuse that.
  void write() {
    const auto token = lock_.fencing_token();
    if (!token || place_.resource.write(key_, *token)) return;
    note(Kind::denied, place_.diary.now(), until_);
  }

  void extend() {
    try {
      lock_.extend();
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): valid_for() says what that means
    }
  }

  Place& place_;
  Random& random_;
  const Event event_;
  const std::size_t key_;
  Lock lock_;
  nanoseconds until_{0};
  bool knows_ = false;
  std::optional<std::stop_callback<Teller>> told_;
};

class Client {
 public:
  Client(Place& place, int number, std::uint64_t seed) : place_{place}, number_{number}, random_{seed} {
    for (const bool fenced : {false, true}) {
      for (const bool renewed : {false, true}) {
        mutexes_.emplace_back(
            place.connection,
            Options{
                .block_time = block_time, .delay = delay, .expiry = expiry, .auto_renew = renewed, .fencing = fenced});
      }
    }
  }

  void run() {
    while (!place_.resource.asked_to_stop()) {
      std::this_thread::sleep_for(random_.between(0ns, nanoseconds{3ms}));
      turn();
    }
  }

 private:
  void turn() {
    const std::size_t key = random_.below(lock_keys.size());
    const bool renewed = random_.chance(300'000);
    const RedisMutex& mutex = mutexes_[(lock_keys[key].fenced ? 2U : 0U) + (renewed ? 1U : 0U)];
    Event event{.client = number_, .key = std::string{lock_keys[key].name}};
    const std::string turn = std::to_string(number_) + "-" + std::to_string(++turns_);
    Event want = event;
    want.time = place_.diary.now();
    std::optional<Lock> lock;
    const char* why_not = "taken";
    try {
      lock = acquire(mutex, event.key, want);
    } catch (const BlockTimeExceedError&) {
      why_not = "taken";
    } catch (const LockCancelled&) {
      why_not = "cancelled";
    } catch (const MutexLockError&) {
      why_not = "full";
    } catch (const ConnectionError&) {
      why_not = "unreachable";
    } catch (const ServerError&) {
      why_not = "refused";
    }
    check_balance(lock ? 1 : 0);
    const nanoseconds known = place_.diary.now();
    // Only now is it known under which id.
    event.id = want.id = lock ? lock->value() + "+" + turn : turn;
    place_.diary.note(want);
    if (!lock) {
      event.time = known;
      event.kind = Kind::ended;
      event.note = why_not;
      place_.diary.note(event);
      return;
    }
    Stay stay{place_, random_, std::move(event), key, std::move(*lock)};
    stay.begin();
    stay.spend(draw_length(renewed));
    stay.end();
    check_balance(0);
    if (place_.observed) place_.resource.note_balance();
  }

  void check_balance(long held) const {
    if (place_.observed) Balance::check(turns_, held);
  }

  std::optional<Lock> acquire(const RedisMutex& mutex, const std::string& key, Event& want) {
    const std::int64_t way = random_.between(1, 10);
    if (way <= 2) return mutex.try_acquire_lock(key);
    if (way <= 6) {
      want.until = want.time + block_time;
      return mutex.acquire_lock(key);
    }
    const auto limit = std::chrono::milliseconds{random_.between(1, 300)};
    want.until = want.time + limit;
    if (way <= 9) return mutex.try_acquire_lock_for(key, limit);
    std::stop_source stop;
    const std::jthread impatience{[&stop, when = random_.between(0ns, nanoseconds{limit})] {
      std::this_thread::sleep_for(when);
      stop.request_stop();
    }};
    return mutex.try_acquire_lock_for(key, limit, stop.get_token());
  }

  nanoseconds draw_length(bool renewed) {
    const std::int64_t permille = random_.between(1, 1000);
    // Longer than the lease, which is over then if nobody renews it.
    if (permille > 1000 - place_.long_stays) {
      return random_.between(nanoseconds{expiry}, nanoseconds{renewed ? 2 * expiry : expiry + 200ms});
    }
    if (permille <= 850) return random_.between(0ns, nanoseconds{2ms});
    if (permille <= 970) return random_.between(0ns, nanoseconds{20ms});
    return random_.between(0ns, nanoseconds{100ms});
  }

  Place& place_;
  const int number_;
  Random random_;
  std::vector<RedisMutex> mutexes_;
  int turns_ = 0;
};

int work(char** arguments) {
  const int first_client = std::atoi(arguments[4]);
  const std::uint64_t seed = std::strtoull(arguments[5], nullptr, 10);
  const Diary diary{arguments[2], nanoseconds{std::strtoll(arguments[6], nullptr, 10)}};
  Register resource{arguments[3]};
  const bool observed = is_observed(first_client);
  Place place{diary, resource, observed, Connection{connection_options(arguments[1], observed)},
              std::atoi(arguments[7])};
  std::vector<std::jthread> threads;
  for (int i = 0; i < threads_a_worker; ++i) {
    threads.emplace_back([&place, number = first_client + i, seed] {
      Client{place, number, seed + static_cast<std::uint64_t>(number)}.run();
    });
  }
  for (int i = 0; observed && i < std::atoi(arguments[8]); ++i) {
    threads.emplace_back([&place, seed = seed + static_cast<std::uint64_t>(first_client * 1000 + i)] {
      hurry(place.connection, place.resource, Random{seed});
    });
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace redismutex::faults

int main(int count, char** arguments) try {
  if (count != 9) {
    std::cerr << "usage: faults_worker URL DIARY REGISTER FIRST_CLIENT SEED EPOCH_NS LONG_STAYS HURRYING\n";
    return EXIT_FAILURE;
  }
  return redismutex::faults::work(arguments);
} catch (const std::exception& error) {
  std::cerr << "faults_worker: " << error.what() << '\n';
  return EXIT_FAILURE;
}
