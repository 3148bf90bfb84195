#include "sim/process.hpp"

#include <algorithm>
#include <utility>

#include "engine/conversation.hpp"
#include "sim/lock.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;

namespace {

constexpr protocol::Instant::duration far_away = 1000h;

}  // namespace

Clock Process::draw_clock(World& world) {
  return {world.random.between(1h, 100h), world.random.between(-world.profile.clock_drift, world.profile.clock_drift)};
}

Process::Process(World& world, int number, int threads, const Clock& clock)
    : world_{world},
      number_{number},
      threads_{threads},
      clock_{clock},
      peer_{world, *this, *this, *this, world.random.chance(200'000)},
      background_{*this, peer_},
      callbacks_{std::make_shared<Callbacks>(*this)},
      session_{{.environment = *this, .router = peer_.server(), .background = background_, .callbacks = *callbacks_},
               {.connect_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(Peer::connect_timeout),
                .command_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(Peer::command_timeout)}} {}

/// What is left of its threads uses the session.
Process::~Process() { end(); }

void Process::end() {
  alive_ = false;
  background_.end();
}

void Process::drop_threads() {
  running_.clear();
  servants_.clear();
}

protocol::OwnerId Process::draw_id() {
  return protocol::OwnerId{{.tag = {world_.random.next()}, .random = world_.random.next()}};
}

Time Process::when(protocol::Instant instant) const {
  const protocol::Instant here = now();
  if (instant <= here) return world_.now();
  return instant > here + far_away ? never : clock_.when(instant);
}

std::chrono::milliseconds Process::wall_clock() const noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now().time_since_epoch());
}

// ---- trouble --------------------------------------------------------------------------------------------------------

void Process::disturbed(Time duration, const char* how) {
  for (int thread = 0; thread < threads_; ++thread) {
    world_.record({.kind = Event::Kind::disturbed,
                   .client = client(thread),
                   .until = duration == never ? never : world_.now() + duration,
                   .note = how});
  }
}

void Process::settled() {
  for (int thread = 0; thread < threads_; ++thread) {
    world_.record({.kind = Event::Kind::settled, .client = client(thread)});
  }
}

void Process::pause(Time duration) {
  disturbed(duration, "process-paused");
  paused_until_ = std::max(paused_until_, world_.now() + duration);
}

void Process::die(bool with_its_machine) {
  alive_ = false;
  disturbed(never, with_its_machine ? "machine-died" : "killed");
  for (int thread = 0; thread < threads_; ++thread) {
    world_.record({.kind = Event::Kind::dead, .client = client(thread)});
  }
  peer_.abandon(with_its_machine);
}

// ---- threads --------------------------------------------------------------------------------------------------------

Task<> Process::sleep(Bell& bell, Time until) {
  while (world_.now() < until) co_await bell.wait_until(until);
}

Process::Point Process::point(Bell& bell) {
  if (!world_.chance(world_.profile.pauses)) return {};
  return {hold_up(bell)};
}

Task<> Process::hold_up(Bell& bell) {
  const Time duration = world_.chance(500'000) ? world_.random.between(0ms, 20ms)
                                               : world_.random.between(0ms, world_.profile.longest_pause);
  disturbed(duration, "thread-paused");
  co_await sleep(bell, world_.now() + duration);
}

void Process::spawn(Task<> thread) {
  running_.remove_if([](const Task<>& each) { return each.done(); });
  running_.push_back(std::move(thread));
  running_.back().start();
}

void Process::spawn_servant(Task<> thread) {
  servants_.remove_if([](const Task<>& each) { return each.done(); });
  servants_.push_back(std::move(thread));
  servants_.back().start();
}

bool Process::idle() const {
  return !alive_ || std::all_of(running_.begin(), running_.end(), [](const Task<>& each) { return each.done(); });
}

Task<std::optional<Failure>> Process::run(Bell& bell, protocol::Machine& machine, protocol::Instant deadline) {
  engine::Conversation conversation{environment(), server(), machine, {.deadline = deadline, .patience = 2s}};
  co_await peer_.drive(bell, conversation);
  co_return conversation.failure();
}

void Process::note_leases() {
  for (Lock* lock : locks_) {
    if (lock->is_told()) lock->look();
  }
}

bool Process::somebody_is_behind(const engine::Acquisition& acquisition, std::string_view key) const {
  return std::any_of(asking_.begin(), asking_.end(), [&](const Asking& each) {
    return each.acquisition != &acquisition && each.key == key && each.acquisition->ahead() > 0;
  });
}

// ---- what the server tells ------------------------------------------------------------------------------------------

/// The server tracks for a connection, and forgets with it.
void Process::linked(const net::Greeting& greeting) {
  session_.identity().note_client_id(greeting.client_id);
  session_.server_changed();
}

void Process::take_push(const Value& push) {
  const std::string& kind = push.elements.front().text;
  if (kind.ends_with("message")) session_.take_message(push.elements[2].text);
  if (kind != "invalidate") return;
  const Value& keys = push.elements[1];
  if (keys.kind != Value::Kind::array) return session_.all_changed();
  for (const Value& key : keys.elements) session_.key_changed(key.text);
}

}  // namespace redismutex::sim
