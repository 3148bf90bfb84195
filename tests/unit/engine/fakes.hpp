#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "net/workers.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/script.hpp"
#include "route/background.hpp"
#include "route/callbacks.hpp"
#include "route/environment.hpp"
#include "route/procedure.hpp"
#include "route/server.hpp"
#include "route/waker.hpp"

/// What tests of the engine give it in place of threads, sockets and clocks. Everything happens in the test's own thread, in
/// virtual time, and only while World::run_until() is called.
namespace redismutex::engine::testing {

using protocol::Answer;
using protocol::Instant;
using namespace std::chrono_literals;

/// Time is what the test says; chance is drawn from a seed.
class FakeEnvironment final : public route::Environment {
 public:
  Instant now() const noexcept override { return now_; }
  std::chrono::milliseconds wall_clock() const noexcept override {
    return std::chrono::hours{24 * 365 * 50} + std::chrono::floor<std::chrono::milliseconds>(now_.time_since_epoch());
  }
  std::uint64_t random_bits() override {  // splitmix64
    std::uint64_t bits = seed_ += 0x9e3779b97f4a7c15U;
    bits = (bits ^ (bits >> 30U)) * 0xbf58476d1ce4e5b9U;
    bits = (bits ^ (bits >> 27U)) * 0x94d049bb133111ebU;
    return bits ^ (bits >> 31U);
  }

  void set(Instant now) noexcept { now_ = std::max(now_, now); }
  void seed(std::uint64_t seed) noexcept { seed_ = seed; }

 private:
  Instant now_{std::chrono::hours{1}};
  std::uint64_t seed_ = 1;
};

/// What happens at which time; what is due at the same time happens in the order in which it was asked for.
class Events {
 public:
  explicit Events(FakeEnvironment& environment) : environment_{environment} {}

  void at(Instant when, std::function<void()> what) {
    events_.emplace(std::max(when, environment_.now()), std::move(what));
  }
  void after(Instant::duration pause, std::function<void()> what) { at(environment_.now() + pause, std::move(what)); }

  /// Whether there was something to do until then.
  bool run_next(Instant until) {
    if (events_.empty() || events_.begin()->first > until) return false;
    auto next = events_.extract(events_.begin());
    environment_.set(next.key());
    next.mapped()();
    return true;
  }
  void run_until(Instant until) {
    while (run_next(until)) continue;
    environment_.set(until);
  }

 private:
  FakeEnvironment& environment_;
  std::multimap<Instant, std::function<void()>> events_;
};

/// An answer that owns its texts.
struct Reply {
  Answer::Type type = Answer::Type::nothing;
  std::string text = {};
  std::int64_t integer = 0;
  std::vector<std::int64_t> integers = {};
  std::vector<std::optional<std::string>> texts = {};
  std::vector<protocol::Value> values = {};  ///< of texts that stay

  static Reply of(std::int64_t value) { return {.type = Answer::Type::integer, .integer = value}; }
  static Reply list(std::vector<std::int64_t> values) {
    return {.type = Answer::Type::integers, .integers = std::move(values)};
  }
  static Reply of(std::string text) { return {.type = Answer::Type::text, .text = std::move(text)}; }
  static Reply error(std::string text) { return {.type = Answer::Type::error, .text = std::move(text)}; }

  Answer view() const {
    Answer answer{.type = type, .text = text, .integer = integer, .integers = integers, .values = values};
    for (const auto& element : texts) {
      answer.texts.push_back(element ? std::optional<std::string_view>{*element} : std::nullopt);
    }
    return answer;
  }
};

/// A server with locks and lines, about as the scripts keep them; and with the faults that a test gives it.
class FakeServer {
 public:
  using Words = std::vector<std::string>;

  FakeServer(FakeEnvironment& environment, Events& events) : environment_{environment}, events_{events} {}

  // ---- for tests

  std::chrono::nanoseconds round_trip = 200us;
  bool away = false;           ///< nobody gets a connection; call World::break_link(), too
  bool silent = false;         ///< it carries out what it is sent, and says nothing
  bool deaf = false;           ///< and does not even carry it out
  std::string babbles_at;      ///< a command: the link breaks with its answer, which is none
  std::int64_t replicas = 0;   ///< that receive what is written
  std::int64_t connected = 0;  ///< replicas, as INFO has them
  std::function<std::optional<Reply>(const Words&)> answers_instead;  ///< asked first

  struct Stored {
    std::string value;
    Instant until;
  };
  std::map<std::string, Stored, std::less<>> keys;
  struct Place {
    std::string id;
    std::string details;
    Instant alive_until;
  };
  std::map<std::string, std::vector<Place>, std::less<>> lines;  ///< by the name of the line

  /// How often each command was carried out, by its name, or by that of its script.
  std::map<std::string, int, std::less<>> counts;
  int count(std::string_view name) const {
    const auto place = counts.find(name);
    return place == counts.end() ? 0 : place->second;
  }

  /// Its pushes; they arrive half a round trip later, unless the link broke.
  std::function<void(std::string_view message)> on_message;
  std::function<void(std::string_view key)> on_change;

  bool has(std::string_view key, std::string_view value) {
    const auto place = find(key);
    return place != keys.end() && place->second.value == value;
  }
  void store(const std::string& key, std::string_view value, Instant::duration lease) {
    keys[key] = {std::string{value}, environment_.now() + lease};
  }

  /// Somebody else does that; who has the key tracked is told.
  void remove(const std::string& key) {
    keys.erase(key);
    tell_change(key);
  }
  void tell_change(const std::string& key) {
    if (tracked_.erase(key) > 0 && on_change) push([this, key] { on_change(key); });
  }

  // ---- for the fakes

  std::uint64_t link = 0;  ///< the present one; 0: none

  Reply carry_out(const Words& words) {
    ++counts[name(words)];
    const bool caching = std::exchange(caching_, false);
    if (answers_instead) {
      if (auto reply = answers_instead(words)) return *std::move(reply);
    }
    const std::string& command = words.front();
    if (command == "CLIENT") {
      caching_ = words.at(1) == "CACHING";
      return Reply::of("OK");
    }
    if (command == "EVALSHA") return run_script(words, caching);
    if (command == "WAIT") return Reply::of(replicas);
    if (command == "INFO") return Reply::of("connected_slaves:" + std::to_string(connected) + "\r\n");
    if (command == "SET") return set(words);
    if (command == "DELIFEQ") return Reply::of(std::int64_t{take_away(words.at(1), words.at(2))});
    if (command == "EXISTS") return Reply::of(std::int64_t{lines.contains(words.at(1))});
    if (command == "PTTL") {
      if (caching) tracked_[words.at(1)] = true;
      return Reply::of(pttl(words.at(1)));
    }
    return Reply::of("OK");  // SUBSCRIBE, PING, SCRIPT LOAD
  }

  /// For how long it holds up those behind it.
  Instant::duration holds_up(const Words& words) const {
    if (words.front() != "WAIT" || std::stoll(words.at(1)) <= replicas) return {};
    return std::chrono::milliseconds{std::stoll(words.at(2))};
  }

  void forget_link() {
    link = 0;
    tracked_.clear();
  }

 private:
  static std::string name(const Words& words) {
    if (words.front() != "EVALSHA") return words.front();
    for (const protocol::Script* script : protocol::scripts::all) {
      if (script->sha1 == words.at(1)) return std::string{script->name};
    }
    return words.at(1) == protocol::scripts::witness.sha1 ? "witness" : "?";
  }

  std::map<std::string, Stored, std::less<>>::iterator find(std::string_view key) {
    const auto place = keys.find(key);
    if (place == keys.end() || place->second.until > environment_.now()) return place;
    keys.erase(place);
    return keys.end();
  }

  void push(std::function<void()> what) {
    events_.after(round_trip / 2, [this, at = link, what = std::move(what)] {
      if (link == at) what();
    });
  }

  Reply set(const Words& words) {
    const bool only_new = words.at(3) == "NX";
    if (only_new && find(words.at(1)) != keys.end()) return {};
    store(words.at(1), words.at(2), std::chrono::milliseconds{std::stoll(words.back())});
    return Reply::of("OK");
  }

  bool take_away(const std::string& key, const std::string& value) {
    if (!has(key, value)) return false;
    keys.erase(key);
    tracked_.erase(key);
    return true;
  }

  std::int64_t pttl(const std::string& key) {
    const auto place = find(key);
    return place == keys.end() ? -2 : (place->second.until - environment_.now()) / 1ms;
  }

  std::int64_t server_time() const { return environment_.wall_clock() / 1us; }

  std::int64_t waiting(const std::string& line) {
    const auto place = lines.find(line);
    if (place == lines.end()) return 0;
    return std::count_if(place->second.begin(), place->second.end(),
                         [this](const Place& one) { return one.alive_until > environment_.now(); });
  }

  Reply run_script(const Words& words, bool caching) {
    const std::string script = name(words);
    const std::size_t keys_in = std::stoul(words.at(2));
    const Words key_list(words.begin() + 3, words.begin() + 3 + static_cast<std::ptrdiff_t>(keys_in));
    const Words rest(words.begin() + 3 + static_cast<std::ptrdiff_t>(keys_in), words.end());
    if (script.starts_with("extend")) return extend(key_list, rest, caching);
    if (script.starts_with("refresh")) return refresh(key_list, rest);
    if (script.starts_with("release")) return release(key_list, rest);
    if (script == "witness") return witness(key_list, rest);
    return acquire(key_list, rest);
  }

  Reply extend(const Words& names, const Words& rest, bool caching) {
    std::vector<std::int64_t> replies;
    for (std::size_t i = 0; i < names.size() / 2; ++i) {
      const std::string& key = names[2 * i];
      if (!has(key, rest.at(3 * i + 1))) {
        replies.push_back(0);
        continue;
      }
      const std::chrono::milliseconds lease{std::stoll(rest.at(3 * i + 2))};
      const Instant until = environment_.now() + lease;
      Stored& stored = keys.find(key)->second;
      if (lease > 0ms && (rest.at(3 * i + 3) == "0" || until > stored.until)) {
        stored.until = until;
        tracked_.erase(key);
      }
      if (rest.at(0) == "1" && caching) tracked_[key] = true;
      replies.push_back(1 + waiting(names[2 * i + 1]));
    }
    return Reply::list(std::move(replies));
  }

  Reply witness(const Words& names, const Words& ids) {
    std::vector<std::int64_t> replies;
    for (std::size_t i = 0; i < ids.size(); ++i) replies.push_back(has(names.at(i), ids[i]) ? pttl(names[i]) : 0);
    return Reply::list(std::move(replies));
  }

  Reply refresh(const Words& names, const Words& rest) {
    std::vector<std::int64_t> replies;
    const Instant alive_until = environment_.now() + std::chrono::milliseconds{std::stoll(rest.at(0))};
    for (std::size_t i = 0; i < names.size() / 2; ++i) {
      auto& line = lines[names[2 * i + 1]];
      const auto place = std::find_if(line.begin(), line.end(), [&](const Place& one) {
        return one.id == rest.at(2 * i + 1) && one.details == rest.at(2 * i + 2);
      });
      if (place == line.end() || find(names[2 * i]) == keys.end()) {
        replies.push_back(0);
        continue;
      }
      place->alive_until = alive_until;
      replies.push_back(place == line.begin() ? 2 : 1);
    }
    return Reply::list(std::move(replies));
  }

  Reply acquire(const Words& names, const Words& rest) {
    const std::string& key = names.at(0);
    const std::string& id = rest.at(0);
    const std::chrono::milliseconds lease{std::stoll(rest.at(1))};
    auto& line = lines[names.at(1)];
    const auto place = std::find_if(line.begin(), line.end(), [&](const Place& one) { return one.id == id; });
    const bool is_first = place == line.begin();
    if (has(key, id) || (find(key) == keys.end() && (line.empty() || is_first))) {
      if (place != line.end()) line.erase(place);
      forget_if_empty(names.at(1));
      store(key, id, lease);
      return Reply::list({0, server_time(), rest.at(2).find_first_of("1357") == 0 ? server_time() : 0});
    }
    const Instant alive_until = environment_.now() + std::chrono::milliseconds{std::stoll(rest.at(3))};
    if (place != line.end()) {
      place->alive_until = alive_until;
      place->details = rest.at(2);
    } else if (waiting(names.at(1)) >= std::stoll(rest.at(4))) {
      return Reply::list({2, server_time()});
    } else {
      line.push_back({id, rest.at(2), alive_until});
    }
    if (line.front().id == id) return Reply::list({1, server_time(), pttl(key)});
    return Reply::list({1, server_time()});
  }

  Reply release(const Words& names, const Words& rest) {
    const std::string& key = names.at(0);
    auto& line = lines[names.at(1)];
    const bool is_owner = has(key, rest.at(0));
    if (!is_owner) std::erase_if(line, [&](const Place& one) { return one.id == rest.at(0); });
    if (is_owner) take_away(key, rest.at(0));
    if (is_owner && names.size() > 3) keys.erase(names[3]);
    if (find(key) == keys.end()) hand_over(key, line);
    forget_if_empty(names.at(1));
    return Reply::of(std::int64_t{is_owner});
  }

  void hand_over(const std::string& key, std::vector<Place>& line) {
    std::erase_if(line, [this](const Place& one) { return one.alive_until <= environment_.now(); });
    if (line.empty()) return;
    const Place heir = line.front();
    line.erase(line.begin());
    store(key, heir.id, 1000ms);
    const std::int64_t time = server_time();
    const std::int64_t token = heir.details.find_first_of("1357") == 0 ? time : 0;
    if (!on_message) return;
    push([this, text = heir.id + " 1000 " + std::to_string(time / 1'000'000) + " " + std::to_string(time % 1'000'000) +
                       " " + std::to_string(token)] { on_message(text); });
  }

  void forget_if_empty(const std::string& line) {
    if (const auto place = lines.find(line); place != lines.end() && place->second.empty()) lines.erase(place);
  }

  FakeEnvironment& environment_;
  Events& events_;
  bool caching_ = false;
  std::map<std::string, bool, std::less<>> tracked_;
};

class World;

/// On the way with a procedure, as a thread or the Background is: carries out its steps at the fake server. Destroyed by its owner, at
/// any time when it is over, or when nobody wants the outcome.
class Drive final : public route::Waker {
 public:
  Drive(World& world, route::Procedure& procedure, std::function<void()> on_over)
      : world_{world}, procedure_{procedure}, on_over_{std::move(on_over)} {}

  ~Drive();
  Drive(const Drive&) = delete;
  Drive& operator=(const Drive&) = delete;

  void start();
  void stop() { tell(route::Procedure::Stopped{}); }
  bool is_over() const noexcept { return over_; }

  /// While it sleeps: it goes on at once; else as soon as it would sleep.
  void wake() noexcept override;

 private:
  friend class World;
  using Step = route::Procedure::Step;

  void carry_out(const Step& step);
  void on(const route::Procedure::Done&);
  void on(const route::Procedure::Reach& reach);
  void on(const route::Procedure::Send& send);
  void on(const route::Procedure::Sleep& sleep);
  void on(const route::Procedure::Leave& leave);
  void tell(route::Procedure::Event event);
  void break_link();

  /// The event happens, unless something else has happened to this drive before.
  void later(Instant when, std::function<void()> what);

  World& world_;
  route::Procedure& procedure_;
  const std::function<void()> on_over_;
  const std::shared_ptr<std::uint64_t> step_ = std::make_shared<std::uint64_t>(0);
  enum class At { rest, sending, sleeping, listening };
  At at_ = At::rest;
  bool woken_ = false;
  bool over_ = false;
};

/// Drives operations and duties.
class FakeBackground final : public route::Background {
 public:
  explicit FakeBackground(World& world) : world_{world} {}
  ~FakeBackground() { end(); }

  bool no_threads = false;  ///< what needs one throws
  bool stuck = false;       ///< no duty runs
  bool listening = false;
  int verified = 0;  // how often the server was to be
  int runs = 0;      ///< of duties
  int started = 0;   ///< operations
  std::size_t under_way() const noexcept { return operations_.size(); }

  /// It is stuck no more: what was due meanwhile runs.
  void go_on();

  /// It is over with all that is on its way.
  void end() {
    for (auto operations = std::exchange(operations_, {}); auto& [drive, operation] : operations) {
      operation->over(Operation::End::abandoned);
      drive.reset();
    }
  }

  void get_ready() override {
    if (no_threads) throw std::system_error{std::make_error_code(std::errc::resource_unavailable_try_again)};
  }
  void start(std::shared_ptr<Operation> operation) override;
  void enlist(Duty& duty) override {
    get_ready();
    duties_[&duty] = Instant::max();
  }
  void call(Duty& duty, Instant at) noexcept override;
  void withdraw(Duty& duty) noexcept override { duties_.erase(&duty); }
  void listen(bool wanted) noexcept override { listening = wanted; }
  void verify_server() noexcept override { ++verified; }
  bool take_in_pushes(route::Server& /*server*/) noexcept override { return true; }

 private:
  struct UnderWay {
    std::unique_ptr<Drive> drive;
    std::shared_ptr<Operation> operation;
  };
  void finish(Drive* drive);
  void run(Duty& duty);

  World& world_;
  std::map<Duty*, Instant> duties_;
  std::vector<UnderWay> operations_;
};

/// Keeps the jobs until the test runs them, as slow callbacks would.
class FakeCallbacks final : public route::Callbacks {
 public:
  using route::Callbacks::Callbacks;
  bool no_threads = false;
  bool at_once = true;
  std::vector<std::unique_ptr<net::Job>> jobs;

  void get_ready() override {
    if (no_threads) throw std::system_error{std::make_error_code(std::errc::resource_unavailable_try_again)};
  }
  void run(std::unique_ptr<net::Job> job) noexcept override {
    if (at_once) {
      job->run();
    } else {
      jobs.push_back(std::move(job));
    }
  }
  void run_all() {
    for (auto& job : std::exchange(jobs, {})) job->run();
  }
};

/// All of them together.
class World {
 public:
  explicit World(std::shared_ptr<Observer> observer = nullptr, bool may_be_replaced = false)
      : known{environment, "redis://fake", [this](std::string_view sentence) { log.emplace_back(sentence); },
              may_be_replaced},
        callbacks{std::make_shared<FakeCallbacks>(nullptr, std::move(observer))} {}

  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() { callbacks->jobs.clear(); }  // each of them has a part in the callbacks

  FakeEnvironment environment;
  Events events{environment};
  FakeServer server{environment, events};
  std::vector<std::string> log;
  std::string peer;  ///< where the next connection leads
  bool stays_away =
      false;  ///< from a server that was left for a refusal, which is what those hear who want to reach it
  route::Server known;
  const std::shared_ptr<FakeCallbacks> callbacks;
  std::function<void()> on_reconnected;  ///< as Session::all_changed()

  std::string left_for = {};  ///< see above

 private:
  friend class Drive;
  std::uint64_t links_ = 0;
  std::vector<Drive*> drives_;  // that are not over

 public:
  FakeBackground background{*this};  // its operations' drives are among drives_ to the end

  Instant now() const noexcept { return environment.now(); }
  void run_for(Instant::duration time) { events.run_until(now() + time); }
  void run_until(Instant until) { events.run_until(until); }

  /// Until it is so, or the time is up; whether it is so.
  bool run_until_is(const std::function<bool()>& condition, Instant::duration limit = 60s) {
    for (const Instant until = now() + limit; !condition();) {
      if (!events.run_next(until)) return false;
    }
    return true;
  }

  bool is_logged(std::string_view part) const {
    return std::any_of(log.begin(), log.end(),
                       [part](const std::string& sentence) { return sentence.find(part) != std::string::npos; });
  }

  /// Whoever waits for an answer gets none.
  void break_link() {
    if (server.link == 0) return;
    known.note_broken(server.link);
    server.forget_link();
    for (Drive* drive : std::vector<Drive*>{drives_}) {
      if (std::find(drives_.begin(), drives_.end(), drive) != drives_.end()) drive->break_link();
    }
  }

  void connect() {
    server.link = ++links_;
    known.begin(server.link,
                {.client_id = static_cast<std::int64_t>(links_),
                 .server = "valkey",
                 .version = {9, 0, 0},
                 .role = "master",
                 .mode = "standalone"},
                peer);
    if (links_ > 1 && on_reconnected) on_reconnected();
  }
};

// ---- Drive ----------------------------------------------------------------------------------------------------------

inline Drive::~Drive() { std::erase(world_.drives_, this); }

inline void Drive::start() {
  world_.drives_.push_back(this);
  carry_out(procedure_.start(world_.now()));
}

inline void Drive::later(Instant when, std::function<void()> what) {
  world_.events.at(when, [step = std::weak_ptr{step_}, number = *step_, what = std::move(what)] {
    if (const auto present = step.lock(); present && *present == number) what();
  });
}

inline void Drive::tell(route::Procedure::Event event) {
  ++*step_;
  at_ = At::rest;
  carry_out(procedure_.resume(std::move(event), world_.now()));
}

inline void Drive::carry_out(const Step& step) {
  std::visit([this](const auto& what) { on(what); }, step);
}

inline void Drive::on(const route::Procedure::Done&) {
  over_ = true;
  ++*step_;
  std::erase(world_.drives_, this);
  if (on_over_) on_over_();
}

inline void Drive::on(const route::Procedure::Reach& reach) {
  const FakeServer& server = world_.server;
  using Kind = route::Failure::Kind;
  if (!world_.left_for.empty()) {
    later(reach.until, [this] { tell(route::Procedure::Unreached{{Kind::refused, world_.left_for}}); });
  } else if (server.link != 0) {
    later(world_.now(), [this] {
      if (world_.server.link == 0) return tell(route::Procedure::Unreached{{Kind::unreachable, "it broke"}});
      tell(route::Procedure::Reached{world_.server.link});
    });
  } else if (server.away || !reach.dials) {
    later(world_.now() + server.round_trip, [this] {
      tell(route::Procedure::Unreached{{Kind::unreachable, "connection refused"}});
    });
  } else {
    later(world_.now() + 2 * server.round_trip, [this] {
      if (world_.server.link == 0) world_.connect();
      tell(route::Procedure::Reached{world_.server.link});
    });
  }
}

inline void Drive::on(const route::Procedure::Send& send) {
  FakeServer& server = world_.server;
  using Kind = route::Failure::Kind;
  at_ = At::sending;
  struct Command {
    FakeServer::Words words;
    bool wanted;
  };
  auto commands = std::make_shared<std::vector<Command>>();
  Instant::duration held_up{};
  for (const route::Procedure::Command& command : send.commands) {
    const FakeServer::Words words{command.arguments.begin(), command.arguments.end()};
    for (int i = 1; i < command.times; ++i) commands->push_back({words, false});
    commands->push_back({words, command.wanted});
    held_up += server.holds_up(words);
  }
  auto replies = std::make_shared<std::vector<Reply>>();
  const Instant sent_at = world_.now();
  const std::uint64_t link = server.link;
  // It is carried out whatever becomes of the sender.
  world_.events.at(sent_at + server.round_trip / 2, [&world = world_, commands, replies, link] {
    if (world.server.deaf || world.server.link != link) return;
    bool in_transaction = false;
    Reply transaction{.type = Answer::Type::texts};
    for (const Command& command : *commands) {
      Reply reply;
      if (command.words.front() == "EXEC") {
        reply = std::exchange(transaction, {});
        in_transaction = false;
      } else {
        reply = world.server.carry_out(command.words);
      }
      if (in_transaction) {
        transaction.texts.push_back(reply.type == Answer::Type::text ? std::optional{reply.text} : std::nullopt);
      }
      if (command.words.front() == "MULTI") in_transaction = true;
      if (command.wanted) replies->push_back(std::move(reply));
    }
  });
  if (!server.silent && !server.deaf) {
    const bool is_babble = commands->back().words.front() == server.babbles_at;
    later(sent_at + server.round_trip + held_up, [this, replies, is_babble] {
      if (is_babble) {
        at_ = At::rest;
        world_.break_link();
        return tell(route::Procedure::Unanswered{{Kind::unusable, "got \"?\" where a reply begins"}});
      }
      std::vector<Answer> answers;
      for (const Reply& reply : *replies) answers.push_back(reply.view());
      if (answers.empty()) return tell(route::Procedure::Unanswered{{Kind::unreachable, "it broke"}});
      tell(route::Procedure::Answered{answers});
    });
  }
  later(send.until, [this] { tell(route::Procedure::Unanswered{{Kind::timed_out, "no answer in time"}}); });
}

inline void Drive::on(const route::Procedure::Sleep& sleep) {
  at_ = sleep.listens ? At::listening : At::sleeping;
  const Instant until = std::exchange(woken_, false) ? world_.now() : sleep.until;
  later(until, [this] { tell(route::Procedure::Woken{}); });
}

inline void Drive::on(const route::Procedure::Leave& leave) {
  world_.break_link();
  if (world_.stays_away && leave.kind == route::Failure::Kind::refused) world_.left_for = leave.refusal;
  on(leave.then);
}

inline void Drive::wake() noexcept {
  if (over_) return;
  if (at_ != At::sleeping && at_ != At::listening) {
    woken_ = true;
    return;
  }
  at_ = At::rest;
  ++*step_;
  later(world_.now(), [this] { tell(route::Procedure::Woken{}); });
}

inline void Drive::break_link() {
  using Kind = route::Failure::Kind;
  const At at = at_;
  if (at != At::sending && at != At::listening) return;
  at_ = At::rest;
  ++*step_;
  later(world_.now(), [this, at] {
    if (at == At::listening) return tell(route::Procedure::Woken{.link_broke = true});
    tell(route::Procedure::Unanswered{{Kind::unreachable, "the connection broke"}});
  });
}

// ---- FakeBackground -------------------------------------------------------------------------------------------------

inline void FakeBackground::start(std::shared_ptr<Operation> operation) {
  get_ready();
  ++started;
  const auto self = std::make_shared<Drive*>(nullptr);
  auto drive = std::make_unique<Drive>(world_, operation->procedure(), [this, self] {
    world_.events.at(world_.now(), [this, self] { finish(*self); });
  });
  *self = drive.get();
  operation->note_waker(drive.get());
  operations_.push_back({std::move(drive), std::move(operation)});
  world_.events.at(world_.now(), [this, self] {
    const bool is_there = std::any_of(operations_.begin(), operations_.end(),
                                      [&](const UnderWay& one) { return one.drive.get() == *self; });
    if (is_there) (*self)->start();
  });
}

inline void FakeBackground::finish(Drive* drive) {
  const auto place = std::find_if(operations_.begin(), operations_.end(),
                                  [drive](const UnderWay& one) { return one.drive.get() == drive; });
  if (place == operations_.end()) return;
  const UnderWay done = std::move(*place);
  operations_.erase(place);
  done.operation->over(Operation::End::done);
}

inline void FakeBackground::call(Duty& duty, Instant at) noexcept {
  const auto place = duties_.find(&duty);
  if (place == duties_.end() || place->second <= at) return;
  place->second = at;
  world_.events.at(at, [this, &duty, at] {
    const auto due = duties_.find(&duty);
    if (!stuck && due != duties_.end() && due->second == at) run(duty);
  });
}

inline void FakeBackground::go_on() {
  stuck = false;
  for (const auto& [duty, at] : duties_) {
    if (at <= world_.now()) world_.events.at(world_.now(), [this, late = duty] { run(*late); });
  }
}

inline void FakeBackground::run(Duty& duty) {
  ++runs;
  duties_[&duty] = Instant::max();
  const Instant again = duty.run(world_.now());
  if (again != Instant::max() && duties_.contains(&duty)) call(duty, again);
}

}  // namespace redismutex::engine::testing
