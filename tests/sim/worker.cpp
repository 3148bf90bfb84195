#include "sim/worker.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "protocol/lease.hpp"
#include "protocol/release.hpp"
#include "sim/sha1.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;
using protocol::Acquire;
using protocol::Extend;
using protocol::Instant;
using protocol::Release;
using std::chrono::milliseconds;

// ---- the lease ------------------------------------------------------------------------------------------------------

Lease::Lease(Process& process, int client, const protocol::Key& key, protocol::OwnerId id, milliseconds expiry,
             const Acquire::Held& held)
    : process_{process},
      client_{client},
      key_{key},
      id_{std::move(id)},
      expiry_{expiry},
      valid_until_{held.valid_until},
      claim_{held.claimed} {}

void Lease::confirm() {
  if (!claim_ || process_.world().mutant == Mutant::never_extends_claim) return;
  shorten(expiry_);
  auto machine = std::make_shared<Extend>(key_, id_, expiry_);
  auto call = std::make_shared<Call>();
  const Instant sent_at = process_.now();
  call->on_reply = [weak = weak_from_this(), machine, sent_at, answer = call.get()] {
    const auto lease = weak.lock();
    if (!lease || lease->given_back_ || !lease->claim_) return;
    machine->answered(lease->process_.view({answer->reply, sent_at}));
    lease->conclude(machine->outcome());
  };
  process_.post(std::get<protocol::Request>(machine->start(sent_at)), call);
  process_.spawn(see_to_claim(shared_from_this()));
}

/// The extension under way may get lost: then another is sent. As engine::Hold::see_to_claim.
Task<> Lease::see_to_claim(std::shared_ptr<Lease> lease) {
  Process& process = lease->process_;
  Bell bell{process.world(), process};
  const Instant here = process.now();
  co_await process.sleep(bell, process.clock().when(here + (lease->valid_until_ - here) / 4));
  if (lease->given_back_ || !lease->claim_ || !lease->valid()) co_return;
  Extend machine{lease->key_, lease->id_, lease->expiry_};
  const auto failure = co_await process.run(bell, machine, process.clock().when(lease->valid_until_));
  if (!failure && !lease->given_back_ && lease->claim_) lease->conclude(machine.outcome());
}

void Lease::shorten(milliseconds expiry) {
  const Instant end = protocol::valid_until(process_.now(), expiry);
  if (end >= valid_until_) return;
  valid_until_ = end;
  process_.world().record({.kind = Event::Kind::lease,
                           .client = client_,
                           .key = key_.text(),
                           .id = id_.text(),
                           .until = process_.clock().when(valid_until_)});
}

void Lease::conclude(const Extend::Outcome& outcome) {
  if (std::holds_alternative<protocol::Refusal>(outcome)) return;
  claim_ = false;
  const auto* extended = std::get_if<Extend::Extended>(&outcome);
  valid_until_ = extended != nullptr ? extended->valid_until : Instant{};
  process_.world().record(
      {.kind = Event::Kind::lease,
       .client = client_,
       .key = key_.text(),
       .id = id_.text(),
       .until = extended != nullptr ? process_.clock().when(valid_until_) : process_.world().now()});
}

Task<> Lease::extend(Bell& bell, milliseconds expiry) {
  const Instant old_until = valid_until_;
  shorten(expiry);
  claim_ = false;  // what was asked before does not count any more
  Extend machine{key_, id_, expiry};
  const Time deadline = std::min(process_.patience(), process_.clock().when(old_until));
  const auto failure = co_await process_.run(bell, machine, deadline);
  if (!failure) conclude(machine.outcome());
}

Task<> Lease::release(Bell& bell) {
  World& world = process_.world();
  given_back_ = true;
  Release machine{key_, id_, valid_until_};
  world.record({.kind = Event::Kind::release, .client = client_, .key = key_.text(), .id = id_.text()});
  const auto failure = co_await process_.run(bell, machine, process_.patience());
  Event event{.kind = Event::Kind::unclear, .client = client_, .key = key_.text(), .id = id_.text()};
  if (!failure) {
    if (std::holds_alternative<Release::Released>(machine.outcome())) event.kind = Event::Kind::released;
    if (std::holds_alternative<Release::Gone>(machine.outcome())) event.kind = Event::Kind::gone;
    if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) event.note = refused->code;
  }
  world.record(std::move(event));
}

std::string why_not(const std::optional<Failure>& failure, const Acquire::Outcome& outcome) {
  if (failure) {
    switch (*failure) {
      case Failure::unreachable: return "unreachable";
      case Failure::timed_out: return "timed-out";
      case Failure::cancelled: return "cancelled";
    }
  }
  if (const auto* refused = std::get_if<protocol::Refusal>(&outcome)) return "refused-" + refused->code;
  return std::holds_alternative<Acquire::Full>(outcome) ? "full" : "taken";
}

// ---- rounds ---------------------------------------------------------------------------------------------------------

Task<> Worker::run() {
  for (int round = 0; round < world_.profile.rounds; ++round) {
    co_await process_.sleep(bell_, world_.now() + world_.random.between(Time{0}, habits_.longest_think));
    co_await turn(world_.keys[world_.random.below(world_.keys.size())]);
  }
}

Task<> Worker::turn(const protocol::Key& key) {
  const auto lease = co_await acquire(key);
  if (!lease) co_return;
  co_await process_.point(bell_);
  // Whoever looks before acting finds a lease that ended meanwhile.
  if (lease->valid()) {
    world_.record({.kind = Event::Kind::inside,
                   .client = client_,
                   .key = key.text(),
                   .id = lease->id().text(),
                   .until = process_.clock().when(lease->valid_until())});
    lease->confirm();
    co_await stay(*lease);
  }
  co_await lease->release(bell_);
}

Task<std::shared_ptr<Lease>> Worker::acquire(const protocol::Key& key) {
  Random& random = world_.random;
  const protocol::OwnerId id = process_.draw_id();
  const bool waits = !random.chance(150'000);
  const milliseconds limit{random.chance(300'000) ? random.between(1, 100) : random.between(100, 10'000)};
  const Instant wait_until = process_.now() + limit;
  const Time deadline = waits ? process_.clock().when(wait_until) : process_.patience();
  const std::string mailbox = process_.mailbox();
  world_.record({.kind = Event::Kind::want,
                 .client = client_,
                 .key = key.text(),
                 .id = id.text(),
                 .until = waits ? deadline : Time{0}});

  const auto stop = stop_some_time();
  bool& contended = process_.contended(key);
  Acquire machine{key,
                  id,
                  {.expiry = habits_.expiry,
                   .wait_until = waits ? std::optional{wait_until} : std::nullopt,
                   .delay = habits_.delay,
                   .mailbox = mailbox,
                   .expect_queue = contended}};
  Box box{key.text(), id.text(), bell_};
  process_.add(box);
  const auto failure = co_await process_.run(bell_, machine, deadline, stop.get(), &box);
  process_.remove(box);
  stop->bell = nullptr;
  contended = machine.met_others();
  if (machine.left_traces()) clean_up(key, id, machine);
  if (const auto* held = std::get_if<Acquire::Held>(&machine.outcome()); held != nullptr && !failure) {
    co_return std::make_shared<Lease>(process_, client_, key, id, habits_.expiry, *held);
  }
  world_.record({.kind = Event::Kind::ended,
                 .client = client_,
                 .key = key.text(),
                 .id = id.text(),
                 .note = why_not(failure, machine.outcome())});
  co_return nullptr;
}

/// Now and then somebody loses patience before his limit.
std::shared_ptr<Stop> Worker::stop_some_time() {
  auto stop = std::make_shared<Stop>(Stop{&bell_});
  if (world_.chance(100'000)) {
    world_.agenda.after(world_.random.between(Time{0}, 2s), [stop] {
      stop->requested = true;
      if (stop->bell != nullptr) stop->bell->ring();
    });
  }
  return stop;
}

/// As engine::Acquisition::clean_up.
void Worker::clean_up(const protocol::Key& key, const protocol::OwnerId& id, const Acquire& machine) {
  const Instant until = process_.now() + habits_.expiry;
  if (!machine.in_doubt()) {
    Release release{key, id, until};
    auto request = std::get<protocol::Request>(release.start(process_.now()));
    const std::string mutated = cancel_without_release(), number_of_keys = "2";
    const std::array<std::string_view, 6> keeps{"EVAL", mutated, number_of_keys, key.text(), key.queue(), id.text()};
    if (world_.mutant == Mutant::cancel_keeps_grant) request.arguments = keeps;
    if (process_.post(request)) return;
  }
  process_.spawn(release_in_background(process_, key, id, until));
}

Task<> Worker::release_in_background(Process& process, const protocol::Key& key, protocol::OwnerId id, Instant until) {
  Bell bell{process.world(), process};
  for (;;) {
    Release release{key, id, until};
    const auto failure = co_await process.run(bell, release, process.patience());
    if (!failure || process.now() + 250ms >= until) co_return;
    co_await process.sleep(bell, process.world().now() + 250ms);
  }
}

Task<> Worker::stay(Lease& lease) {
  Random& random = world_.random;
  const auto leave_at = [&] {
    // Mostly short; sometimes longer than the lease.
    if (random.chance(50'000)) return world_.now() + random.between(Time{0}, Time{habits_.expiry * 2});
    return world_.now() + random.between(Time{0}, habits_.longest_stay);
  }();
  Time extend_at = never;
  if (random.chance(200'000)) extend_at = world_.now() + random.between(Time{0}, leave_at - world_.now());
  co_await process_.point(bell_);
  while (lease.valid() && world_.now() < leave_at) {
    if (world_.now() >= extend_at) {
      extend_at = never;
      const std::int64_t percent = random.chance(500'000) ? 100 : random.between(20, 200);
      co_await lease.extend(bell_, std::max(habits_.expiry * percent / 100, milliseconds{50}));
      continue;
    }
    const Time over_at = process_.clock().when(lease.valid_until());
    co_await bell_.wait_until(std::min(std::min(leave_at, extend_at), over_at));
  }
}

// ---- strangers ------------------------------------------------------------------------------------------------------

Task<> Stranger::run() {
  for (int round = 0; round < world_.profile.rounds; ++round) {
    co_await process_.sleep(bell_, world_.now() + world_.random.between(Time{0}, habits_.longest_think));
    co_await turn(world_.keys[world_.random.below(world_.keys.size())]);
  }
}

Task<> Stranger::turn(const protocol::Key& key) {
  static const std::string compare_and_delete =
      "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";
  const protocol::OwnerId id = process_.draw_id();
  const std::string expiry_ms = std::to_string(habits_.expiry.count());
  const std::array<std::string_view, 6> set{"SET", key.text(), id.text(), "NX", "PX", expiry_ms};
  const std::array<std::string_view, 5> del{"EVAL", compare_and_delete, "1", key.text(), id.text()};
  const protocol::Request asks{.arguments = set}, gives_back{.arguments = del};
  std::shared_ptr<Link> used;
  Event event{
      .kind = Event::Kind::want, .client = process_.client(0), .key = key.text(), .id = id.text(), .note = "stranger"};
  world_.record(event);
  for (int attempt = 0; attempt < 50; ++attempt) {
    const auto taken = co_await process_.exchange(bell_, asks, process_.patience(), nullptr, used);
    const auto* answered = std::get_if<Process::Answered>(&taken);
    if (answered == nullptr) co_return;  // its key expires by itself, if it has it
    const Instant valid_until = protocol::valid_until(answered->sent_at, habits_.expiry);
    if (answered->reply.kind == Value::Kind::status && process_.now() < valid_until) {
      event.kind = Event::Kind::inside;
      event.until = process_.clock().when(valid_until);
      const Time until = event.until;
      world_.record(event);
      co_await process_.sleep(bell_,
                              std::min(until, world_.now() + world_.random.between(Time{0}, habits_.longest_stay)));
      event.kind = Event::Kind::release;
      world_.record(std::move(event));
      const auto deleted = co_await process_.exchange(bell_, gives_back, process_.patience(), nullptr, used);
      co_return;
    }
    co_await process_.sleep(bell_, world_.now() + world_.random.between(10ms, 100ms));
  }
}

}  // namespace redismutex::sim
