#include "sim/world.hpp"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "sim/link.hpp"

namespace redismutex::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t server_epoch_us = 1'750'000'000'000'000;

/// In scripts. A floor above it is none of ours.
constexpr std::int64_t most_whole_number = 9'007'199'254'740'992;

constexpr Time longest_replication_lag = 20ms;

/// Servers of every age, as far as the profile leaves that open.
Server::Conduct draw_conduct(const Profile& profile, Random& random) {
  using Deletion = Server::Conduct::Deletion;
  Server::Conduct conduct = profile.conduct;
  if (conduct.deletion != Deletion::none) return conduct;
  conduct.before_7_0 = conduct.before_7_0 || random.chance(150'000);
  conduct.before_7_2 = conduct.before_7_0 || random.chance(400'000);
  const bool is_new = !conduct.before_7_2 && random.chance(500'000);
  if (is_new) conduct.deletion = random.chance(500'000) ? Deletion::delifeq : Deletion::delex;
  return conduct;
}

}  // namespace

World::World(LuaHost& lua, const Profile& what, Fate& fate, Mutant mistake)
    : profile{what},
      mutant{mistake},
      agenda{fate.agenda},
      random{fate.random},
      lua_{lua},
      conduct_{draw_conduct(what, random)},
      server_{make_server()} {}

// ---- the record -----------------------------------------------------------------------------------------------------

void World::record(Event event) {
  event.time = now();
  history_.push_back(std::move(event));
}

void World::add_key(std::string text) {
  const protocol::Key& key = keys_.emplace_back(std::move(text));
  const std::size_t index = watched_.size();
  watched_.emplace_back();
  parts_[std::string{key.text()}] = {index, &Touched::owner};
  parts_[std::string{key.line()}] = {index, &Touched::line};
  parts_[std::string{key.floor()}] = {index, &Touched::floor};
}

/// After a command, or something else: what it did to the locks.
void World::watch(const Cause& cause) {
  if (touched_.empty() && published_.empty()) return;
  const auto touched = std::exchange(touched_, {});
  replicate(touched);
  std::map<std::size_t, Touched> locks;
  for (const std::string& name : touched) {
    if (const auto part = parts_.find(name); part != parts_.end()) locks[part->second.key].*part->second.what = true;
  }
  for (const auto& [key, what] : locks) {
    if (what.owner || what.line) watch_lock(key, cause, what);
    if (what.floor) watch_floor(keys_[key]);
  }
}

void World::watch_lock(std::size_t key, const Cause& cause, const Touched& touched) {
  Watched& known = watched_[key];
  std::string owner_before = known.owner;
  const std::int64_t owner_expires_before = known.owner_expires_at_ms;
  const bool line_has_expired = known.line_expires_at_ms < server_now_us() / 1000;
  if (touched.owner) watch_owner(key, cause);
  Line before;
  if (touched.line) {
    before = watch_line(key, read_line(server_->keyspace().peek(std::string{keys_[key].line()})));
  } else if (!known.line.empty()) {
    before = known.line;
  }
  if (cause.command == nullptr) return;
  if (line_has_expired) before.clear();
  if (before.empty() && known.line.empty()) return;
  if (owner_before != known.owner && owner_expires_before < server_now_us() / 1000) owner_before.clear();
  for (std::string& mistake :
       sim::mistakes(before, known.line,
                     {.command = *cause.command,
                     .now_us = server_now_us(),
                     .former_owner = owner_before,
                     .owner = known.owner,
                     .reaches = [this](const Waiter& waiter) { return reaches(waiter); },
                     .sends_messages = !conduct_.refuses_channels && !conduct_.refuses_publishing})) {
    mistakes_.push_back(std::to_string(std::chrono::duration<double>{now()}.count()) + " s: " + mistake);
  }
}

/// By one of its places: mostly there is one.
bool World::reaches(const Waiter& waiter) const {
  return std::any_of(waiter.places.begin(), waiter.places.end(), [this](const Waiter::Place& place) {
    const std::string mailbox = place.mailbox();
    return mailbox == "-" || (!mailbox.empty() && server_->receivers(mailbox.starts_with('s'), mailbox.substr(1)) > 0);
  });
}

void World::watch_owner(std::size_t index, const Cause& cause) {
  const std::string key{keys_[index].text()};
  const Keyspace::Entry* entry = server_->keyspace().peek(key);
  std::string& known = watched_[index].owner;
  std::int64_t& expires_at_ms = watched_[index].owner_expires_at_ms;
  if (entry == nullptr) {
    if (known.empty()) return;
    known.clear();
    if (expires_at_ms < server_now_us() / 1000) {
      return record({.kind = Event::Kind::free, .key = key, .note = "expired"});
    }
    const bool by_value = cause.command != nullptr && cause.command->front().starts_with("DEL");
    record({.kind = Event::Kind::free, .key = key, .note = by_value ? "by-value" : std::string{cause.other}});
    return;
  }
  const auto* value = std::get_if<std::string>(&entry->value);
  const std::string id = value == nullptr ? "?" : *value;
  Event event{.kind = Event::Kind::owner,
              .key = key,
              .id = id,
              .until = entry->expires_at_ms ? true_time(std::chrono::milliseconds{*entry->expires_at_ms}) : never};
  const Line& line = watched_[index].line;
  const auto place = line.find(id);
  const bool by_another =
      cause.command != nullptr && std::find(cause.command->begin(), cause.command->end(), id) == cause.command->end();
  if (known != id && place != line.end() && place->second.is_in_line() && by_another) {
    event.note = "handed";
    if (!place->second.is_alive(server_now_us())) event.note = "handed-to-stale";
    if (!conduct_.refuses_counting && !reaches(place->second)) event.note = "handed-to-unreachable";
  }
  known = id;
  expires_at_ms = entry->expires_at_ms.value_or(std::numeric_limits<std::int64_t>::max());
  record(std::move(event));
  plan_expiry(key);
}

/// Goes through both lines at once: they are sorted, and mostly the same.
/// Returns what was known before.
Line World::watch_line(std::size_t index, Line present) {
  const protocol::Key& key = keys_[index];
  Line& known = watched_[index].line;
  // A mailbox that was named before the server refused to have it.
  const auto has_guessed = [this](const Waiter& waiter) { return conduct_.refuses_channels && !reaches(waiter); };
  const auto note_place = [&](const std::string& id, const Waiter& waiter) {
    record({.kind = Event::Kind::queued,
            .key = std::string{key.text()},
            .id = id,
            .until = true_time(std::chrono::microseconds{*waiter.alive_until}),
            .note = has_guessed(waiter)                 ? "unreachable"
                    : waiter.wants_to_know_when_first() ? "is-told-when-first"
                                                        : "",
            .token = static_cast<std::uint64_t>(waiter.ticket())});
  };
  const auto note_end = [&](const std::string& id) {
    record({.kind = Event::Kind::unqueued, .key = std::string{key.text()}, .id = id});
  };
  for (const auto& [id, waiter] : known) {
    const auto place = present.find(id);
    const bool is_in_line = place != present.end() && place->second.is_in_line();
    if (waiter.is_in_line() && !is_in_line) note_end(id);
  }
  for (const auto& [id, waiter] : present) {
    if (!waiter.is_in_line()) continue;
    const auto place = known.find(id);
    const bool is_new = place == known.end() || !place->second.is_in_line();
    if (is_new || place->second.alive_until != waiter.alive_until) note_place(id, waiter);
  }
  std::swap(known, present);
  const Keyspace::Entry* entry = server_->keyspace().peek(std::string{key.line()});
  watched_[index].line_expires_at_ms =
      entry != nullptr && entry->expires_at_ms ? *entry->expires_at_ms : std::numeric_limits<std::int64_t>::max();
  plan_expiry(std::string{key.line()});
  return present;
}

void World::watch_floor(const protocol::Key& key) {
  const Keyspace::Entry* entry = server_->keyspace().peek(std::string{key.floor()});
  const auto* text = entry == nullptr ? nullptr : std::get_if<std::string>(&entry->value);
  if (text != nullptr && !text->empty() && text->size() <= 16 &&
      text->find_first_not_of("0123456789") == std::string::npos && std::stoll(*text) < most_whole_number) {
    farthest_floor_ = std::max(farthest_floor_, std::chrono::microseconds{std::stoll(*text) - server_now_us()});
  }
  plan_expiry(std::string{key.floor()});
}

// ---- the server -----------------------------------------------------------------------------------------------------

std::int64_t World::server_now_us() const {
  return server_epoch_us + std::chrono::duration_cast<std::chrono::microseconds>(now() + server_clock_ahead_).count();
}

Time World::true_time(std::chrono::microseconds server_time) const {
  return server_time - std::chrono::microseconds{server_epoch_us} - server_clock_ahead_;
}

/// Its connections have numbers that no other server's have.
std::shared_ptr<Server> World::make_server() {
  const int number = ++servers_made_;
  Server::Conduct conduct = conduct_;
  conduct.first_connection = number * 1'000'000;
  return std::make_shared<Server>(
      lua_, conduct,
      Server::Surroundings{
          .now_us = [this] { return server_now_us(); },
          .deliver = [this](Server::Connection connection, Value value) { deliver(connection, std::move(value)); },
          .on_change =
              [this, number](const std::string& key) {
                if (number == servers_made_) touched_.insert(key);
              },
          .on_publish =
              [this, number](const Server::Message& message) {
                if (number == servers_made_ && demoted_) published_.push_back(message);
              },
          .rewrite_script = [this](const std::string& script) { return rewritten(script, mutant); }});
}

Server::Connection World::connect(const std::shared_ptr<Link>& link) {
  const Server::Connection connection = server_->connect();
  links_[connection] = {link, server_};
  return connection;
}

void World::disconnect(Server::Connection connection) {
  when_it_runs([this, connection] {
    const auto place = links_.find(connection);
    if (place == links_.end()) return;
    place->second.server->disconnect(connection);
    links_.erase(place);
  });
}

void World::execute(Server::Connection connection, const std::vector<std::string>& command) {
  const auto run = [this, connection](const std::vector<std::string>& what) {
    const auto place = links_.find(connection);
    if (!up_ || place == links_.end()) return;
    const auto server = place->second.server;
    server->execute(connection, what);
    if (server == server_) watch({.command = &what});
  };
  if (paused_until_ <= now()) return run(command);
  when_it_runs([run, command] { run(command); });
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
  if (const auto link = place->second.link.lock()) link->server_sends(std::move(value));
}

/// A server deletes what has expired when it comes to it: mostly soon, sometimes late.
void World::plan_expiry(const std::string& key) {
  const Keyspace::Entry* entry = server_->keyspace().peek(key);
  if (entry == nullptr || !entry->expires_at_ms || !expiry_planned_.insert(key).second) return;
  const Time lag = chance(50'000) ? random.between(1s, 10s) : random.between(2ms, 300ms);
  agenda.at(std::max(now(), true_time(std::chrono::milliseconds{*entry->expires_at_ms})) + lag, [this, key] {
    when_it_runs([this, key] {
      expiry_planned_.erase(key);
      server_->expire_if_due(key);
      watch({.other = "expired"});
      plan_expiry(key);
    });
  });
}

void World::set_server_clock(Time ahead) {
  record({.kind = Event::Kind::disaster, .note = "clock-step"});
  server_clock_ahead_ = ahead;
  for (const protocol::Key& key : keys_) {
    server_->expire_if_due(std::string{key.text()});
    server_->expire_if_due(std::string{key.line()});
    server_->expire_if_due(std::string{key.floor()});
    touched_.insert(std::string{key.text()});  // it expires at another time now
  }
  watch({.other = "clock-step"});
}

void World::restart_server(Time down) {
  record({.kind = Event::Kind::disaster, .note = "restart"});
  retire_demoted();
  up_ = false;
  server_->forget_everything();
  watch({.other = "restart"});
  reset_connections();
  agenda.after(down, [this] { up_ = true; });
}

/// All connections break, and none can be made.
void World::isolate_server(Time duration) {
  if (!up_) return;
  record({.kind = Event::Kind::disturbed, .until = now() + duration, .note = "the-server-is-isolated"});
  up_ = false;
  reset_connections();
  agenda.after(duration, [this] { up_ = true; });
}

void World::reset_connections() {
  for (const auto& [connection, connected] : std::exchange(links_, {})) {
    connected.server->disconnect(connection);
    if (const auto link = connected.link.lock()) link->reset_by_server();
  }
}

void World::fail_over(Time lag) {
  agenda.after(lag, [this, replica = server_->keyspace()] {
    record({.kind = Event::Kind::disaster, .note = "failover"});
    retire_demoted();
    server_->take_over(replica);
    watch({.other = "failover"});
    reset_connections();
  });
}

// ---- roles ----------------------------------------------------------------------------------------------------------

void World::switch_roles(Time gap, Time leave_after) {
  if (demoted_ || switching_) return;
  switching_ = true;
  record({.kind = Event::Kind::disturbed, .until = now() + gap, .note = "roles-change"});
  server_->follow_master(true);
  agenda.after(gap, [this, leave_after] { when_it_runs([this, leave_after] { promote_replica(leave_after); }); });
}

/// All that was written had reached it; but scripts, subscriptions and tracking are not replicated.
void World::promote_replica(Time leave_after) {
  switching_ = false;
  record({.kind = Event::Kind::disaster, .note = "script-flush"});
  demoted_ = std::exchange(server_, make_server());
  demoted_->become_replica();
  server_->take_over(demoted_->keyspace());
  watch({.other = "roles-change"});
  for (const auto& [connection, connected] : links_) {
    if (const auto link = connected.link.lock()) link->server_was_demoted();
  }
  agenda.after(leave_after, [this, server = demoted_] {
    if (server == demoted_) retire_demoted();
  });
}

/// The connections that are left are closed.
void World::retire_demoted() {
  if (!demoted_) return;
  const auto server = std::exchange(demoted_, nullptr);
  const auto& complaints = server->complaints();
  earlier_complaints_.insert(earlier_complaints_.end(), complaints.begin(), complaints.end());
  std::vector<std::shared_ptr<Link>> left;
  std::erase_if(links_, [&](const auto& entry) {
    if (entry.second.server != server) return false;
    if (const auto link = entry.second.link.lock()) left.push_back(link);
    return true;
  });
  for (const auto& link : left) link->reset_by_server();
}

/// What the command that ran changed, and published, goes to the demoted server, a little later and in order.
void World::replicate(const std::set<std::string>& touched) {
  const auto published = std::exchange(published_, {});
  if (!demoted_ || (touched.empty() && published.empty())) return;
  std::vector<std::pair<std::string, std::optional<Keyspace::Entry>>> changes;
  for (const std::string& key : touched) {
    const Keyspace::Entry* entry = server_->keyspace().peek(key);
    changes.emplace_back(key, entry == nullptr ? std::nullopt : std::optional{*entry});
  }
  replicated_until_ = std::max(replicated_until_, now() + random.between(Time{0}, longest_replication_lag));
  agenda.at(replicated_until_, [changes = std::move(changes), published, to = std::weak_ptr{demoted_}] {
    const auto server = to.lock();
    if (!server) return;
    for (const auto& [key, entry] : changes) server->replicate(key, entry);
    for (const Server::Message& message : published) server->relay(message);
  });
}

void World::refuse_writes(const std::string& why, Time duration) {
  record({.kind = Event::Kind::disturbed, .until = now() + duration, .note = "writes-are-refused"});
  server_->refuse_writes(why);
  agenda.after(duration, [server = server_] { server->refuse_writes({}); });
}

std::vector<std::string> World::complaints() const {
  std::vector<std::string> all = earlier_complaints_;
  for (const auto& server : {server_, demoted_}) {
    if (server) all.insert(all.end(), server->complaints().begin(), server->complaints().end());
  }
  return all;
}

// ---- people ---------------------------------------------------------------------------------------------------------

void World::forget_scripts() {
  record({.kind = Event::Kind::disaster, .note = "script-flush"});
  server_->forget_scripts();
}

void World::by_hand(const std::vector<std::string>& command, std::string_view how) {
  const Server::Connection connection = server_->connect();
  server_->execute(connection, command);
  server_->disconnect(connection);
  watch({.other = how});
}

void World::delete_by_hand(const protocol::Key& key) {
  record({.kind = Event::Kind::disaster, .key = std::string{key.text()}, .note = "DEL"});
  by_hand({"DEL", std::string{key.text()}}, "DEL");
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
  for (const std::string& key : server_->keyspace().keys()) server_->expire_if_due(key);
  watch({.other = "expired"});
  return server_->keyspace().keys();
}

int World::owner_of(const protocol::Key& key) const {
  return client_of(watched_[parts_.at(std::string{key.text()}).key].owner);
}

int World::first_in_line_for(const protocol::Key& key) const {
  const Waiter* first = nullptr;
  std::string first_id;
  for (const auto& [id, waiter] : watched_[parts_.at(std::string{key.text()}).key].line) {
    if (!waiter.is_in_line() || (first != nullptr && first->ticket() <= waiter.ticket())) continue;
    first = &waiter;
    first_id = id;
  }
  return first == nullptr ? 0 : client_of(first_id);
}

int World::client_of(const std::string& id) const {
  if (id.empty()) return 0;
  const auto wanted = std::find_if(history_.rbegin(), history_.rend(), [&id](const Event& event) {
    return (event.kind == Event::Kind::want || event.kind == Event::Kind::leads) && event.id == id;
  });
  return wanted == history_.rend() ? 0 : wanted->client;
}

}  // namespace redismutex::sim
