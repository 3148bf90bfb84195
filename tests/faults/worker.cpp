// faults_worker URL DIARY REGISTER FIRST_CLIENT SEED EPOCH_NS LONG_STAYS HURRYING: takes locks in every way there is until the register says stop, uses
// them for a while, and writes down what it believes: see faults/trial.hpp. Each client is a thread, or a coroutine (see faults/way.hpp). A worker
// with an Observer has HURRYING threads more: see faults/hurry.hpp.

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <deque>
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
#include "faults/way.hpp"
#include "sim/random.hpp"
#include "support/loop.hpp"
#include "support/steps.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;
using histories::Event;
using sim::Random;
using std::chrono::nanoseconds;
using testing::Coroutine;
using testing::Steps;
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
template <class Way>
class Stay {
 public:
  Stay(Place& place, const Way& way, Random& random, Event event, std::size_t key, typename Way::Lock lock)
      : place_{place}, way_{way}, random_{random}, event_{std::move(event)}, key_{key}, lock_{std::move(lock)} {}

  void begin() {
    // Read in this order, the end can only be too early.
    const nanoseconds here = place_.diary.now();
    until_ = here + lock_.valid_for();
    note(Kind::inside, place_.diary.now(), until_);
    if (random_.chance(300'000)) {
      told_.emplace(lock_.lost_token(), Teller{this});
    }
  }

  Steps<> spend(nanoseconds length) {
    const nanoseconds leave_at = place_.diary.now() + length;
    const bool extends = random_.chance(100'000);
    write();
    for (nanoseconds here = place_.diary.now(); here < leave_at; here = place_.diary.now()) {
      co_await way_.sleep(std::min<nanoseconds>(leave_at - here, random_.between(1ms, 10ms)));
      if (extends && random_.chance(100'000)) co_await extend();
      look();
      write();
    }
  }

  Steps<> end() {
    note(Kind::release, place_.diary.now());
    try {
      co_await way_.release(lock_);
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

  Steps<> extend() {
    try {
      co_await way_.extend(lock_);
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): valid_for() says what that means
    }
  }

  Place& place_;
  const Way& way_;
  Random& random_;
  const Event event_;
  const std::size_t key_;
  typename Way::Lock lock_;
  nanoseconds until_{0};
  bool knows_ = false;
  std::optional<std::stop_callback<Teller>> told_;
};

/// What the Observer is to have told of the clients of this thread.
thread_local long attempts_here = 0;
thread_local long held_here = 0;

template <class Way>
class Client {
 public:
  Client(Place& place, Way way, int number, std::uint64_t seed)
      : place_{place}, way_{std::move(way)}, number_{number}, random_{seed} {
    for (const bool fenced : {false, true}) {
      for (const bool renewed : {false, true}) {
        mutexes_.push_back(way_.mutex(
            place.connection,
            {.block_time = block_time, .delay = delay, .expiry = expiry, .auto_renew = renewed, .fencing = fenced}));
      }
    }
  }

  Coroutine run() {
    while (!place_.resource.asked_to_stop()) {
      co_await way_.sleep(random_.between(0ns, nanoseconds{3ms}));
      co_await turn();
    }
  }

 private:
  using Lock = typename Way::Lock;
  using Mutex = typename Way::Mutex;

  Steps<> turn() {
    const std::size_t key = random_.below(lock_keys.size());
    const bool renewed = random_.chance(300'000);
    const Mutex& mutex = mutexes_[(lock_keys[key].fenced ? 2U : 0U) + (renewed ? 1U : 0U)];
    Event event{.client = number_, .key = std::string{lock_keys[key].name}};
    const std::string turn = std::to_string(number_) + "-" + std::to_string(++turns_);
    Event want = event;
    want.time = place_.diary.now();
    std::optional<Lock> lock;
    const char* why_not = "taken";
    try {
      lock = co_await acquire(mutex, event.key, want);
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
    ++attempts_here;
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
      co_return;
    }
    Stay<Way> stay{place_, way_, random_, std::move(event), key, std::move(*lock)};
    stay.begin();
    co_await stay.spend(draw_length(renewed));
    co_await stay.end();
    check_balance(-1);
    if (place_.observed) place_.resource.note_balance();
  }

  /// So many are held more.
  void check_balance(long more) const {
    held_here += more;
    if (place_.observed) Balance::check(attempts_here, held_here);
  }

  Steps<std::optional<Lock>> acquire(const Mutex& mutex, const std::string& key, Event& want) {
    const std::int64_t how = random_.between(1, 10);
    if (how <= 2) co_return co_await way_.attempt(mutex, key);
    if (how <= 6) {
      want.until = want.time + block_time;
      co_return co_await way_.acquire(mutex, key);
    }
    const auto limit = std::chrono::milliseconds{random_.between(1, 300)};
    want.until = want.time + limit;
    if (how <= 9) co_return co_await way_.attempt(mutex, key, limit);
    const std::stop_source stop;
    [[maybe_unused]] const auto impatience = way_.stop_after(random_.between(0ns, nanoseconds{limit}), stop);
    co_return co_await way_.attempt(mutex, key, limit, stop.get_token());
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
  const Way way_;
  const int number_;
  Random random_;
  std::vector<Mutex> mutexes_;
  int turns_ = 0;
};

void run_loop(Place& place, int first_client, std::uint64_t seed) {
  testing::Loop loop;
  std::deque<Client<ByLoop>> clients;
  std::vector<Coroutine> runs;
  for (int number = first_client; number < first_client + clients_a_worker; ++number) {
    clients.emplace_back(place, ByLoop{loop}, number, seed + static_cast<std::uint64_t>(number));
    runs.push_back(clients.back().run());
  }
  for (Coroutine& run : runs) run.get();
}

int work(char** arguments) {
  const int first_client = std::atoi(arguments[4]);
  const std::uint64_t seed = std::strtoull(arguments[5], nullptr, 10);
  const Diary diary{arguments[2], nanoseconds{std::strtoll(arguments[6], nullptr, 10)}};
  Register resource{arguments[3]};
  const bool observed = is_observed(first_client);
  Place place{diary, resource, observed, Connection{connection_options(arguments[1], observed)},
              std::atoi(arguments[7])};
  std::vector<std::jthread> threads;
  for (int number = first_client; number < first_client + clients_a_worker && !is_asynchronous(number); ++number) {
    threads.emplace_back([&place, number, seed] {
      Client<ByThread>{place, {}, number, seed + static_cast<std::uint64_t>(number)}.run().get();
    });
  }
  for (int i = 0; observed && i < std::atoi(arguments[8]); ++i) {
    threads.emplace_back([&place, seed = seed + static_cast<std::uint64_t>(first_client * 1000 + i)] {
      hurry(place.connection, place.resource, Random{seed});
    });
  }
  if (is_asynchronous(first_client)) run_loop(place, first_client, seed);
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
