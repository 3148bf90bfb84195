#include "faults/arena.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <redismutex/redismutex.hpp>
#include <system_error>
#include <utility>

#include "faults/setting.hpp"
#include "protocol/slot.hpp"
#include "support/eventually.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;
using histories::Event;
using histories::Span;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using testing::eventually;
using testing::Server;
using Kind = Event::Kind;

constexpr auto limit = 20s;

// A thread that runs so much later than it wanted to is taken for a fault of the machine's.
constexpr nanoseconds tolerated_stall = 30ms;

constexpr int nobody = 0;  // or all, in a history

}  // namespace

// ---- furnishing -----------------------------------------------------------------------------------------------------

Arena::Arena(const Furniture& furniture)
    : random{furniture.seed},
      furniture_{furniture},
      epoch_{boot_time()},
      diary_{directory_.file("driver.history"), epoch_},
      register_{directory_.file("register")} {
  if (furniture.route == Route::cabled) partition_.emplace();
  if (furniture.own_clock) clock_.emplace(directory_.file("clock"));
  if (furniture.sentinels) {
    set_.emplace();
    set_->hurry(true);
  }
  if (furniture.cluster) cluster_.emplace();
  if (cluster_) {
    serving_ = &cluster_->node(0);
  } else {
    serving_ = set_ ? set_->servers().data() : &servers_.emplace_back(server_options());
  }
  if (furniture.replica) {
    following_ = &servers_.emplace_back(server_options());
    connect_replica();
  }
  point_to(*serving_);
  if (furniture.route == Route::proxied) {
    for (int i = 0; i < 2; ++i) proxies_.push_back(std::make_unique<testing::Proxy>(*serving_));
  }
  furnish_places();
  for (Place& place : crew_) start_worker(place);
  watcher_ = std::jthread{[this](const std::stop_token& stop) { watch_the_machine(stop); }};
}

Arena::~Arena() = default;

testing::ServerOptions Arena::server_options() const {
  testing::ServerOptions options;
  if (furniture_.replica) {
    options.tcp = true;
    options.directives = {"repl-diskless-sync-delay 0", "replica-read-only yes"};
  }
  if (partition_) {
    options.tcp = true;
    options.directives = {"bind 127.0.0.1 " + partition_->address(), "protected-mode no"};
  }
  if (clock_) options.environment = clock_->environment();
  return options;
}

std::string Arena::url() const {
  if (cluster_) return cluster_->url();
  return set_ ? set_->url() : "unix://" + socket_in_use();
}

void Arena::furnish_places() {
  for (std::size_t i = 0; i < workers; ++i) {
    Place place{.url = url()};
    if (!proxies_.empty() && i + 1 < workers) place.url = proxies_[i % 2]->url();
    if (partition_ && i % 2 == 0) {
      place.url = "redis://" + partition_->address() + ":" + std::to_string(serving_->port());
      place.prefix = partition_->prefix();
    }
    crew_.push_back(std::move(place));
  }
}

std::vector<std::size_t> Arena::workers_behind(std::size_t which) const {
  std::vector<std::size_t> behind;
  for (std::size_t i = 0; i < workers; ++i) {
    const bool proxied = !proxies_.empty() && i + 1 < workers && i % 2 == which;
    if (proxied || (partition_ && i % 2 == 0)) behind.push_back(i);
  }
  return behind;
}

void Arena::start_worker(Place& place) {
  place.first_client = last_client_ + 1;
  last_client_ += clients_a_worker;
  place.diary = directory_.file("worker-" + std::to_string(place.first_client) + ".history");
  diaries_.push_back(place.diary);
  std::vector<std::string> arguments = place.prefix;
  for (std::string argument :
       {furniture_.worker, place.url, place.diary, directory_.file("register"), std::to_string(place.first_client),
        std::to_string(furniture_.seed), std::to_string(epoch_.count()), std::to_string(furniture_.long_stays),
        std::to_string(furniture_.hurrying)}) {
    arguments.push_back(std::move(argument));
  }
  place.process.emplace(testing::Program{.arguments = std::move(arguments)});
}

void Arena::replace_worker(std::size_t which) {
  Place& place = crew_.at(which);
  // Before it dies: so nothing counts that it may not have done.
  const nanoseconds time = now();
  place.process.reset();
  for (int i = 0; i < clients_a_worker; ++i) {
    diary_.note({.time = time, .kind = Kind::dead, .client = place.first_client + i});
  }
  start_worker(place);
}

/// In one step, so that there is always one.
void Arena::point_to(const Server& server) const {
  const std::string next = socket_in_use() + ".next";
  std::filesystem::create_symlink(server.socket_path(), next);
  std::filesystem::rename(next, socket_in_use());
}

// ---- failing over ---------------------------------------------------------------------------------------------------

void Arena::connect_replica() {
  following_->command({"REPLICAOF", "127.0.0.1", std::to_string(serving_->port())});
  const bool follows = eventually(limit, [&] { return following_->info("replication")["master_link_status"] == "up"; });
  if (!follows) throw std::runtime_error{"the replica does not follow"};
}

void Arena::fail_over(milliseconds gap) {
  const nanoseconds from = now();
  // It keeps what it has, and looks for a primary that is not there.
  following_->command({"REPLICAOF", "127.0.0.1", "1"});
  wait(gap);
  serving_->kill();
  following_->command({"REPLICAOF", "NO", "ONE"});
  std::swap(serving_, following_);
  point_to(*serving_);
  const Span span{from, now()};
  note_disturbance(span);
  note_disaster(span, {}, "failover");
  following_->start();
  connect_replica();
}

void Arena::depose_master(Fall how) { cluster_ ? depose_in_cluster(how) : depose_by_sentinels(how); }

void Arena::depose_by_sentinels(Fall how) {
  // So soon after all sentinels know of it nobody is left at the former one. And for so long another sentinel may make yet another one the
  // master, because it had begun to.
  constexpr auto all_is_over = 4s;
  const nanoseconds from = now();
  Server& former = *serving_;
  if (how == Fall::killed) former.kill();
  if (how == Fall::frozen) former.pause();
  serving_ = how == Fall::by_hand ? &set_->fail_over() : &set_->master_after(former);
  // It goes on as if it were the master still.
  if (how == Fall::frozen) former.resume();
  for (const Server* before = nullptr; before != serving_; serving_ = &set_->master()) {
    before = serving_;
    wait(all_is_over);
  }
  const Span span{from, now()};
  note_disturbance(span);
  note_disaster(span, {}, "failover");
  if (serving_ != &former) rejoin(former, how == Fall::killed);
}

/// As the sentinels have it do, later; they close all its connections then.
void Arena::rejoin(Server& former, bool is_down) {
  if (is_down) former.start();
  const auto follows = [&] {
    try {
      former.command({"REPLICAOF", "127.0.0.1", std::to_string(serving_->port())});
      return former.info("replication")["master_link_status"] == "up";
    } catch (const std::runtime_error&) {
      return false;
    }
  };
  if (!eventually(limit, follows)) throw std::runtime_error{"the former master does not follow"};
}

/// A planned failover loses nothing.
void Arena::depose_in_cluster(Fall how) {
  const std::uint16_t slot = protocol::slot_of(any_key_name());
  const nanoseconds from = now();
  Server& former = cluster_->master_of(slot);
  if (how == Fall::killed) former.kill();
  if (how == Fall::frozen) former.pause();
  if (how == Fall::by_hand) cluster_->fail_over(former);
  if (!cluster_->wait_until_left(slot, former)) throw std::runtime_error{"no replica takes over"};
  const Span span{from, now()};
  note_disturbance(span);
  if (how != Fall::by_hand) note_disaster(span, {}, "failover");
  if (how == Fall::frozen) former.resume();
  if (how == Fall::killed) former.start();
  cluster_->wait_until_well();
}

void Arena::move_slot() {
  const std::uint16_t slot = protocol::slot_of(any_key_name());
  const nanoseconds from = now();
  std::vector<Server*> masters = cluster_->masters();
  std::erase(masters, &cluster_->master_of(slot));
  Server& to = *masters.at(random.below(masters.size()));
  if (cluster_->moves_at_once() && random.chance(500'000)) {
    cluster_->move_slot_at_once(slot, to);
  } else {
    cluster_->move_slot(slot, to, [this] { wait_between(0ms, 300ms); });
  }
  note_disturbance({from, now()});
}

std::string Arena::any_key_name() { return std::string{lock_keys.at(random.below(lock_keys.size())).name}; }

// ---- notes ----------------------------------------------------------------------------------------------------------

void Arena::wait(nanoseconds length) const { std::this_thread::sleep_for(length); }

void Arena::wait_between(milliseconds least, milliseconds most) { wait(random.between(least, most)); }

void Arena::note_disturbance(Span span, std::optional<std::size_t> worker) {
  const int first = worker ? crew_.at(*worker).first_client : nobody;
  for (int i = 0; i < (worker ? clients_a_worker : 1); ++i) {
    diary_.note({.time = span.from, .kind = Kind::disturbed, .client = first + i, .until = span.to});
  }
}

void Arena::note_disaster(Span span, const std::string& key, const std::string& what) {
  diary_.note({.time = span.from, .kind = Kind::disaster, .key = key, .until = span.to, .note = what});
}

void Arena::watch_the_machine(const std::stop_token& stop) {
  constexpr nanoseconds nap = 2ms;
  while (!stop.stop_requested()) {
    const nanoseconds before = now();
    wait(nap);
    const nanoseconds after = now(), stall = after - before - nap;
    longest_stall_ = std::max(longest_stall_.load(), stall);
    if (stall > tolerated_stall) note_disturbance({before, after});
  }
}

// ---- the end --------------------------------------------------------------------------------------------------------

Arena::Outcome Arena::conclude() {
  Outcome outcome;
  end_workers(outcome.violations);
  look_for_traces(outcome.violations);
  watcher_.request_stop();
  watcher_.join();
  outcome.longest_stall = longest_stall_;
  outcome.balanced = register_.balanced();
  diaries_.push_back(directory_.file("driver.history"));
  for (const std::string& diary : diaries_) {
    histories::History part = read_diary(diary);
    outcome.history.insert(outcome.history.end(), std::make_move_iterator(part.begin()),
                           std::make_move_iterator(part.end()));
  }
  name_chains(outcome.history);
  return outcome;
}

void Arena::end_workers(std::vector<std::string>& violations) {
  register_.ask_to_stop();
  for (Place& place : crew_) {
    const auto ended = place.process->wait(limit);
    if (!ended) violations.push_back("a worker does not end: client " + std::to_string(place.first_client));
    if (ended && *ended != testing::exited(0)) {
      violations.push_back("a worker failed: client " + std::to_string(place.first_client) + ": " +
                           place.process->stderr_text());
    }
    place.process.reset();
  }
}

/// Each lock can still be had, and afterwards there is nothing but the floor of its tokens, which ends by itself.
void Arena::look_for_traces(std::vector<std::string>& violations) {
  const RedisMutex mutex{Connection{cluster_ ? url() : serving_->url()},
                         {.blocking = false, .expiry = limit, .fencing = true}};
  for (const LockKey& key : lock_keys) {
    const std::string name{key.name}, line = "redismutex:{" + name + "}", floor = "redismutex:floor:{" + name + "}";
    const bool clean = eventually(limit, [&] {
      auto lock = mutex.try_acquire_lock(name);
      if (!lock) return false;
      lock->release();
      Server& home = home_of(name);
      return !home.exists(name) && !home.exists(line) && home.pttl(floor) > 0;
    });
    if (!clean) violations.push_back("left behind at " + name + ": " + home_of(name).get(name).value_or("a line"));
  }
}

}  // namespace redismutex::faults
