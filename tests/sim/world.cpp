#include "sim/world.hpp"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

#include "sim/link.hpp"

namespace redismutex::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t server_epoch_us = 1'750'000'000'000'000;

/// The fields of a queue's hash that say who waits: "who:<id>".
constexpr std::string_view who = "who:";

/// "until claim floor mailbox", as queue.lua describes it.
struct Waiter {
  std::int64_t until_ms = 0;
  std::string mailbox = {};

  explicit Waiter(const std::string& record) {
    std::int64_t claim_ms = 0;
    std::int64_t floor_ms = 0;
    std::istringstream{record} >> until_ms >> claim_ms >> floor_ms >> mailbox;
  }
};

/// Half of all servers are old ones.
Server::Conduct conduct(const Profile& profile, Random& random) {
  Server::Conduct conduct = profile.conduct;
  conduct.before_7_2 = random.chance(500'000);
  return conduct;
}

}  // namespace

World::World(LuaHost& lua, const Profile& what, std::uint64_t seed, Mutant mistake)
    : profile{what},
      mutant{mistake},
      random{seed},
      server_{lua,
              conduct(what, random),
              {.now_us = [this] { return server_now_us(); },
               .deliver = [this](Server::Connection connection, Value value) { deliver(connection, std::move(value)); },
               .on_change = [this](const std::string& key) { touched_.insert(key); },
               .rewrite_script = [this](const std::string& script) { return rewritten(script, mutant); }}} {}

// ---- the record -----------------------------------------------------------------------------------------------------

void World::record(Event event) {
  event.time = now();
  history_.push_back(std::move(event));
}

/// After a command, or something else: what it did to the locks.
void World::watch(const Cause& cause) {
  const auto touched = std::exchange(touched_, {});
  for (const protocol::Key& key : keys) {
    if (touched.contains(key.text())) watch_owner(key, cause);
    if (touched.contains(key.queue())) watch_queue(key);
  }
}

void World::watch_owner(const protocol::Key& key, const Cause& cause) {
  const Keyspace::Entry* entry = server_.keyspace().peek(key.text());
  if (entry == nullptr) {
    if (owners_.erase(key.text()) > 0) {
      record({.kind = Event::Kind::free, .key = key.text(), .note = std::string{cause.other}});
    }
    return;
  }
  const auto* value = std::get_if<std::string>(&entry->value);
  const std::string id = value == nullptr ? "?" : *value;
  Event event{.kind = Event::Kind::owner,
              .key = key.text(),
              .id = id,
              .until = entry->expires_at_ms ? true_time(*entry->expires_at_ms) : never};
  std::string& known = owners_[key.text()];
  const auto& queue = queues_[key.queue()];
  const auto place = queue.find(std::string{who} + id);
  const bool by_another =
      cause.command != nullptr && std::find(cause.command->begin(), cause.command->end(), id) == cause.command->end();
  if (known != id && place != queue.end() && by_another) {
    const Waiter waiter{place->second};
    event.note = "handed";
    if (server_now_us() / 1000 > waiter.until_ms) event.note = "handed-to-stale";
    if (waiter.mailbox != "-" && server_.receivers(waiter.mailbox) == 0) event.note = "handed-to-unreachable";
  }
  known = id;
  record(std::move(event));
  plan_expiry(key.text());
}

/// Goes through both lists at once: they are sorted, and mostly the same.
void World::watch_queue(const protocol::Key& key) {
  static const Keyspace::Hash nobody;
  const Keyspace::Entry* entry = server_.keyspace().peek(key.queue());
  const auto* hash = entry == nullptr ? nullptr : std::get_if<Keyspace::Hash>(&entry->value);
  const Keyspace::Hash& present = hash == nullptr ? nobody : *hash;
  if (const auto floor = present.find("floor"); floor != present.end()) {
    farthest_floor_ = std::max(farthest_floor_, std::chrono::microseconds{std::stoll(floor->second) - server_now_us()});
  }
  Keyspace::Hash& known = queues_[key.queue()];
  auto is = present.lower_bound(std::string{who});
  auto was = known.begin();
  const auto note_place = [&](const std::string& field, const std::string& waits) {
    const Waiter waiter{waits};
    record({.kind = Event::Kind::queued,
            .key = key.text(),
            .id = field.substr(who.size()),
            .until = true_time(waiter.until_ms)});
  };
  while (is != present.end() || was != known.end()) {
    if (was == known.end() || (is != present.end() && is->first < was->first)) {
      note_place(is->first, is->second);
      known.insert(was, *is);
      ++is;
    } else if (is == present.end() || was->first < is->first) {
      record({.kind = Event::Kind::unqueued, .key = key.text(), .id = was->first.substr(who.size())});
      was = known.erase(was);
    } else {
      if (was->second != is->second) {
        note_place(is->first, is->second);
        was->second = is->second;
      }
      ++is;
      ++was;
    }
  }
  plan_expiry(key.queue());
}

// ---- the server -----------------------------------------------------------------------------------------------------

std::int64_t World::server_now_us() const {
  return server_epoch_us + std::chrono::duration_cast<std::chrono::microseconds>(now() + server_clock_ahead_).count();
}

Time World::true_time(std::int64_t server_ms) const {
  return std::chrono::milliseconds{server_ms} - std::chrono::microseconds{server_epoch_us} - server_clock_ahead_;
}

Server::Connection World::connect(const std::shared_ptr<Link>& link) {
  const Server::Connection connection = server_.connect();
  links_[connection] = link;
  return connection;
}

void World::disconnect(Server::Connection connection) {
  when_it_runs([this, connection] {
    links_.erase(connection);
    server_.disconnect(connection);
  });
}

void World::execute(Server::Connection connection, const std::vector<std::string>& command) {
  when_it_runs([this, connection, command] {
    if (!up_ || !links_.contains(connection)) return;
    server_.execute(connection, command);
    watch({.command = &command});
  });
}

/// While the server is paused, its kernel collects what arrives.
void World::when_it_runs(std::function<void()> work) {
  if (paused_until_ > now()) {
    arrived_.push_back(std::move(work));
  } else {
    work();
  }
}

void World::pause_server(Time duration) {
  if (paused_until_ > now()) return;
  record({.kind = Event::Kind::disturbed, .until = now() + duration, .note = "the-server-is-paused"});
  paused_until_ = now() + duration;
  agenda.at(paused_until_, [this] {
    for (const auto& work : std::exchange(arrived_, {})) work();
  });
}

void World::deliver(Server::Connection connection, Value value) {
  const auto place = links_.find(connection);
  if (place == links_.end()) return;
  if (const auto link = place->second.lock()) link->server_sends(std::move(value));
}

/// A server deletes what has expired when it comes to it: mostly soon, sometimes late.
void World::plan_expiry(const std::string& key) {
  const Keyspace::Entry* entry = server_.keyspace().peek(key);
  if (entry == nullptr || !entry->expires_at_ms || !expiry_planned_.insert(key).second) return;
  const Time lag = chance(50'000) ? random.between(1s, 10s) : random.between(2ms, 300ms);
  agenda.at(std::max(now(), true_time(*entry->expires_at_ms)) + lag, [this, key] {
    when_it_runs([this, key] {
      expiry_planned_.erase(key);
      server_.expire_if_due(key);
      watch({.other = "expired"});
      plan_expiry(key);
    });
  });
}

void World::set_server_clock(Time ahead) {
  record({.kind = Event::Kind::disaster, .note = "clock-step"});
  server_clock_ahead_ = ahead;
  for (const protocol::Key& key : keys) {
    server_.expire_if_due(key.text());
    server_.expire_if_due(key.queue());
    touched_.insert(key.text());  // it expires at another time now
  }
  watch({.other = "clock-step"});
}

void World::restart_server(Time down) {
  record({.kind = Event::Kind::disaster, .note = "restart"});
  up_ = false;
  server_.forget_everything();
  watch({.other = "restart"});
  reset_connections();
  agenda.after(down, [this] { up_ = true; });
}

void World::reset_connections() {
  for (const auto& [connection, weak] : std::exchange(links_, {})) {
    server_.disconnect(connection);
    if (const auto link = weak.lock()) link->reset_by_server();
  }
}

void World::fail_over(Time lag) {
  agenda.after(lag, [this, replica = server_.keyspace()] {
    record({.kind = Event::Kind::disaster, .note = "failover"});
    server_.take_over(replica);
    watch({.other = "failover"});
    reset_connections();
  });
}

void World::forget_scripts() {
  record({.kind = Event::Kind::disaster, .note = "script-flush"});
  server_.forget_scripts();
}

void World::by_hand(const std::vector<std::string>& command, std::string_view how) {
  const Server::Connection connection = server_.connect();
  server_.execute(connection, command);
  server_.disconnect(connection);
  watch({.other = how});
}

void World::delete_by_hand(const protocol::Key& key) {
  record({.kind = Event::Kind::disaster, .key = key.text(), .note = "DEL"});
  by_hand({"DEL", key.text()}, "DEL");
}

void World::delete_all_by_hand() {
  record({.kind = Event::Kind::disaster, .note = "FLUSHALL"});
  by_hand({"FLUSHALL"}, "FLUSHALL");
}

/// It has no memory left for so long: a disaster for nobody who holds a lock.
void World::fill_up(Time duration) {
  by_hand({"CONFIG", "SET", "maxmemory", "1"}, "full");
  agenda.after(duration, [this] { by_hand({"CONFIG", "SET", "maxmemory", "0"}, "full"); });
}

std::vector<std::string> World::keys_left() {
  for (const std::string& key : server_.keyspace().keys()) server_.expire_if_due(key);
  watch({.other = "expired"});
  return server_.keyspace().keys();
}

int World::owner_of(const protocol::Key& key) const {
  const auto owner = owners_.find(key.text());
  return owner == owners_.end() ? 0 : client_of(owner->second);
}

int World::first_in_line_for(const protocol::Key& key) const {
  const Keyspace::Entry* entry = server_.keyspace().peek(key.queue());
  const auto* hash = entry == nullptr ? nullptr : std::get_if<Keyspace::Hash>(&entry->value);
  if (hash == nullptr || !hash->contains("first")) return 0;
  return client_of(hash->at("first"));
}

int World::client_of(const std::string& id) const {
  const auto wanted = std::find_if(history_.rbegin(), history_.rend(), [&id](const Event& event) {
    return event.kind == Event::Kind::want && event.id == id;
  });
  return wanted == history_.rend() ? 0 : wanted->client;
}

}  // namespace redismutex::sim
