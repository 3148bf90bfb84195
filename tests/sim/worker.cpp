#include "sim/worker.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/extending.hpp"
#include "engine/giving_back.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;
using engine::Acquisition;
using engine::GivingBack;
using protocol::Instant;
using std::chrono::milliseconds;

namespace {

std::string why_not(const Acquisition::Outcome& outcome) {
  if (const auto* failure = std::get_if<Failure>(&outcome)) {
    switch (failure->kind) {
      case Failure::Kind::timed_out: return "timed-out";
      case Failure::Kind::cancelled: return "cancelled";
      default: return "unreachable";
    }
  }
  if (const auto* refused = std::get_if<protocol::Refusal>(&outcome)) return "refused-" + refused->code;
  return std::holds_alternative<Acquisition::Full>(outcome) ? "full" : "taken";
}

/// Calls functions on its way, at once, whoever drives it.
class Noted final : public route::Procedure {
 public:
  struct Calls {
    std::function<void()> before_start = [] {};
    std::function<void(const Event&)> before_event = [](const Event&) {};
    std::function<void()> after_step = [] {};
    std::function<void()> at_end = [] {};
  };

  Noted(std::shared_ptr<route::Procedure> inner, Calls calls) : inner_{std::move(inner)}, calls_{std::move(calls)} {}

  Step start(Instant now) override {
    calls_.before_start();
    return noted(inner_->start(now));
  }
  Step resume(Event&& event, Instant now) override {
    calls_.before_event(event);
    return noted(inner_->resume(std::move(event), now));
  }

 private:
  Step noted(Step step) {
    calls_.after_step();
    if (std::holds_alternative<Done>(step)) calls_.at_end();
    return step;
  }

  const std::shared_ptr<route::Procedure> inner_;
  const Calls calls_;
};

}  // namespace

Habits draw_habits(const Profile& profile, Random& random) {
  constexpr std::array<milliseconds, 4> expiries{300ms, 1000ms, 3000ms, 7000ms};
  constexpr std::array<milliseconds, 4> delays{30ms, 100ms, 500ms, 2000ms};
  constexpr std::array<Time, 3> stays{200us, 5ms, 250ms};
  if (profile.default_options) {
    return {
        .expiry = 7s, .delay = 500ms, .longest_stay = 50ms, .longest_think = 50ms, .max_waiters = profile.max_waiters};
  }
  if (profile.long_delays) {
    return {.expiry = 7s, .delay = 2s, .longest_stay = 50ms, .longest_think = 50ms, .max_waiters = profile.max_waiters};
  }
  const milliseconds drawn = expiries[random.below(expiries.size())];
  const milliseconds expiry = profile.expiry > 0ms ? profile.expiry : drawn;
  return {.expiry = expiry,
          // The public interface accepts none that is longer than the lease.
          .delay = std::min(delays[random.below(delays.size())], expiry / 2),
          .longest_stay = stays[random.below(stays.size())],
          .longest_think = random.between(1ms, 200ms),
          .max_waiters = profile.max_waiters};
}

Drive::Where draw_where(World& world) {
  const std::uint64_t coroutines = world.profile.coroutines;
  return coroutines > 0 && world.chance(coroutines) ? Drive::Where::background : Drive::Where::thread;
}

std::shared_ptr<Stop> stop_some_time(World& world, Bell& bell) {
  auto stop = std::make_shared<Stop>(Stop{&bell});
  if (world.chance(100'000)) {
    world.agenda.after(world.random.between(Time{0}, 2s), [stop] {
      stop->requested = true;
      if (stop->bell != nullptr) stop->bell->ring();
    });
  }
  return stop;
}

Task<> Worker::run() {
  for (int round = 0; round < world_.profile.rounds; ++round) {
    co_await process_.sleep(bell_, world_.now() + world_.random.between(Time{0}, habits_.longest_think));
    const int own = process_.number() * world_.profile.threads + thread_;
    co_await turn(world_.keys()[world_.profile.own_keys ? static_cast<std::size_t>(own) % world_.keys().size()
                                                        : world_.random.below(world_.keys().size())]);
  }
}

Worker::Plan Worker::make_plan() {
  Random& random = world_.random;
  Plan plan{.wishes = {.expiry = habits_.expiry,
                       .delay = habits_.delay,
                       .wait_until = std::nullopt,
                       .max_waiters = habits_.max_waiters,
                       .local_handoffs = 0,
                       .fencing = random.chance(world_.profile.fencing)},
            .longest_stay = habits_.longest_stay};
  if (random.chance(50'000)) plan.longest_stay = 2 * Time{habits_.expiry};  // longer than the lease
  if (random.chance(world_.profile.renewals)) {
    plan.wishes.renews = true;
    if (random.chance(300'000) || world_.profile.least_stay > 0) plan.longest_stay = 3 * Time{habits_.expiry};
    if (random.chance(200'000)) plan.wishes.max_hold = 2 * habits_.expiry;
    plan.weak = random.chance(world_.profile.weak_leases);
  }
  plan.listens = plan.wishes.renews || random.chance(100'000);
  if (random.chance(world_.profile.passes)) plan.wishes.local_handoffs = static_cast<int>(random.between(1, 20));
  if (!random.chance(150'000)) {
    const milliseconds limit{random.chance(300'000) ? random.between(1, 100) : random.between(100, 10'000)};
    plan.wishes.wait_until = process_.now() + std::min<Time>(limit, world_.profile.longest_wait);
  }
  return plan;
}

Task<> Worker::turn(const protocol::Key& key) {
  const Plan plan = make_plan();
  const auto lock = co_await acquire(key, plan.wishes);
  if (!lock) co_return;
  co_await process_.point(bell_);
  // Whoever looks before acting finds a lease that ended meanwhile.
  if (lock->valid()) co_await use(*lock, plan);
  co_await give_back(*lock);
}

// ---- inside ---------------------------------------------------------------------------------------------------------

Task<> Worker::use(Lock& lock, const Plan& plan) {
  lock.enter({.listens = plan.listens,
              .renewed = plan.wishes.renews && plan.wishes.max_hold == milliseconds{0} && !plan.weak});
  co_await process_.point(bell_);
  co_await stay(lock, plan);
  if (!lock.valid()) lock.lose();
  lock.leave();
}

Task<> Worker::stay(Lock& lock, const Plan& plan) {
  Random& random = world_.random;
  const Time leave_at =
      world_.now() + random.between(plan.longest_stay * world_.profile.least_stay / 100, plan.longest_stay);
  const auto next_extension = [&] {
    return random.chance(world_.profile.extensions) ? world_.now() + random.between(Time{0}, leave_at - world_.now())
                                                    : never;
  };
  Time extend_at = next_extension();
  while (lock.valid() && world_.now() < leave_at) {
    if (world_.now() >= extend_at) {
      co_await extend(lock, plan);
      extend_at = world_.now() < leave_at ? next_extension() : never;
      continue;
    }
    lock.look();
    co_await bell_.wait_until(std::min(std::min(leave_at, extend_at), process_.when(lock.valid_until())));
  }
}

/// Nobody asks for a lease that may be over before the answer is there.
Task<> Worker::extend(Lock& lock, const Plan& plan) {
  const bool is_short = plan.weak || !world_.chance(500'000);
  const std::int64_t percent = is_short ? world_.random.between(20, plan.weak ? 40 : 200) : 100;
  const auto round_trips = std::chrono::ceil<milliseconds>(plan.weak ? Time{0} : 8 * world_.profile.latency);
  const milliseconds expiry = std::max({habits_.expiry * percent / 100, milliseconds{50}, round_trips});
  const Instant asked_at = process_.now();
  std::set<std::string>& doubtful = process_.doubtful_leases();
  const std::string& id = lock.granted().lease->value();
  Drive drive{process_, bell_, where_};
  const auto extending =
      std::make_shared<engine::Extending>(process_.session(), lock.granted().lease, lock.granted().turn,
                                          engine::Extending::Terms{.expiry = expiry, .waker = &drive.waker()});
  const auto doubt = [&](const Noted::Event& event) {
    if (std::holds_alternative<Noted::Unanswered>(event)) doubtful.insert(id);
  };
  const auto look = [&] { lock.look(); };
  const auto note = [&] {
    if (std::holds_alternative<engine::Extending::Extended>(extending->outcome()) && !doubtful.contains(id)) {
      lock.record_extension(asked_at + expiry);
    }
  };
  const auto noted =
      std::make_shared<Noted>(extending, Noted::Calls{.before_event = doubt, .after_step = look, .at_end = note});
  co_await drive.run(noted);
  if (const auto loss = extending->take_loss()) loss->run();
}

Task<> Worker::give_back(Lock& lock) {
  const Acquisition::Granted& granted = lock.granted();
  Drive drive{process_, bell_, where_};
  const auto giving =
      std::make_shared<GivingBack>(process_.session(), granted.lease, granted.turn, granted.ticket, &drive.waker());
  const auto note = [&] { note_end(lock, giving->outcome()); };
  const auto noted = std::make_shared<Noted>(giving, Noted::Calls{.at_end = note});
  co_await drive.run(noted);
  if (const auto loss = giving->take_loss()) loss->run();
}

void Worker::note_end(Lock& lock, const GivingBack::Outcome& outcome) {
  if (std::holds_alternative<GivingBack::Released>(outcome)) {
    lock.record(Event::Kind::released);
  } else if (std::holds_alternative<GivingBack::Passed>(outcome)) {
    lock.record(Event::Kind::released, "passed-on");
  } else if (const auto* refused = std::get_if<protocol::Refusal>(&outcome)) {
    lock.record(Event::Kind::unclear, refused->code);
  } else if (std::holds_alternative<engine::NoAnswer>(outcome)) {
    lock.record(Event::Kind::unclear);
  } else {
    lock.record(Event::Kind::gone);
  }
}

// ---- acquiring ------------------------------------------------------------------------------------------------------

/// Two kinds of ids are recorded: one for the wait of this thread; and that of the way to the server, from when on it leads there. That
/// way it may have from another thread of the process, and leave to one.
Task<std::unique_ptr<Lock>> Worker::acquire(const protocol::Key& key, const engine::Wishes& wishes) {
  const std::string wait = std::to_string(client_) + "-" + std::to_string(++rounds_);
  Event event{.kind = Event::Kind::want,
              .client = client_,
              .key = std::string{key.text()},
              .id = wait,
              .until = wishes.wait_until ? process_.when(*wishes.wait_until) : Time{0},
              .token = wishes.wait_until ? static_cast<std::uint64_t>(wishes.local_handoffs) : 0};
  const auto stop = stop_some_time(world_, bell_);
  Drive drive{process_, bell_, where_};
  const auto acquisition = std::make_shared<Acquisition>(process_.session(), key, wishes, drive.waker());
  process_.add(*acquisition, key.text());
  std::string at_server;
  bool has_followers = false;
  // A coroutine has said that it wants the lock before it stands in line: nothing is left to it by then.
  const auto want = [&] {
    world_.record(event);
    event.kind = Event::Kind::leads;
    event.token = 0;
  };
  const auto look_behind = [&](const Noted::Event&) {
    has_followers = !at_server.empty() && process_.somebody_is_behind(*acquisition, key.text());
  };
  const auto lead = [&](std::string_view id) {
    if (at_server == id) return;
    at_server = event.id = id;
    world_.record(event);
  };
  const auto look_at_id = [&] {
    if (const protocol::OwnerId* const id = acquisition->id()) lead(id->text());
  };
  Acquisition::Outcome outcome;
  const auto note = [&] {
    process_.remove(*acquisition);
    outcome = acquisition->take_outcome();
    const auto* const got = std::get_if<Acquisition::Granted>(&outcome);
    const bool has_it = got != nullptr;
    // Where another had left its way to it, the lock may have been there already.
    if (has_it && got->how != Acquisition::Granted::How::passed) lead(got->lease->value());
    event.until = Time{0};
    event.note = has_it ? "has-it" : why_not(outcome);
    if (!has_it && !at_server.empty()) {
      event.kind = wishes.local_handoffs > 0 && has_followers ? Event::Kind::yields : Event::Kind::ended;
      world_.record(event);
    }
    event.kind = Event::Kind::ended;
    event.id = wait;
    world_.record(event);
  };
  const auto noted = std::make_shared<Noted>(acquisition, Noted::Calls{want, look_behind, look_at_id, note});
  co_await drive.run(noted, stop.get());
  stop->bell = nullptr;
  auto* const granted = std::get_if<Acquisition::Granted>(&outcome);
  if (granted == nullptr) co_return nullptr;
  co_return std::make_unique<Lock>(process_, bell_, client_, std::move(*granted));
}

}  // namespace redismutex::sim
