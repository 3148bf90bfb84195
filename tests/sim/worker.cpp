#include "sim/worker.hpp"

#include <algorithm>
#include <functional>
#include <optional>
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

/// Calls a function after each step.
class Noted final : public route::Procedure {
 public:
  Noted(route::Procedure& inner, std::function<void()> note) : inner_{inner}, note_{std::move(note)} {}

  Step start(Instant now) override { return noted(inner_.start(now)); }
  Step resume(Event event, Instant now) override { return noted(inner_.resume(std::move(event), now)); }

 private:
  Step noted(Step step) {
    note_();
    return step;
  }

  route::Procedure& inner_;
  const std::function<void()> note_;
};

}  // namespace

Task<> Worker::run() {
  for (int round = 0; round < world_.profile.rounds; ++round) {
    co_await process_.sleep(bell_, world_.now() + world_.random.between(Time{0}, habits_.longest_think));
    co_await turn(world_.keys()[world_.random.below(world_.keys().size())]);
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
  if (random.chance(100'000)) {
    plan.wishes.renews = true;
    if (random.chance(300'000)) plan.longest_stay = 3 * Time{habits_.expiry};
    if (random.chance(200'000)) plan.wishes.max_hold = 2 * habits_.expiry;
  }
  plan.listens = plan.wishes.renews || random.chance(100'000);
  if (random.chance(world_.profile.passes)) plan.wishes.local_handoffs = static_cast<int>(random.between(1, 20));
  if (!random.chance(150'000)) {
    const milliseconds limit{random.chance(300'000) ? random.between(1, 100) : random.between(100, 10'000)};
    plan.wishes.wait_until = process_.now() + limit;
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
  lock.enter(plan.listens);
  co_await process_.point(bell_);
  co_await stay(lock, world_.now() + world_.random.between(Time{0}, plan.longest_stay));
  if (!lock.valid()) lock.lose();
  lock.leave();
}

Task<> Worker::stay(Lock& lock, Time leave_at) {
  Random& random = world_.random;
  const auto next_extension = [&] {
    return random.chance(200'000) ? world_.now() + random.between(Time{0}, leave_at - world_.now()) : never;
  };
  Time extend_at = next_extension();
  while (lock.valid() && world_.now() < leave_at) {
    if (world_.now() >= extend_at) {
      co_await extend(lock);
      extend_at = world_.now() < leave_at ? next_extension() : never;
      continue;
    }
    co_await bell_.wait_until(std::min(std::min(leave_at, extend_at), process_.when(lock.valid_until())));
  }
}

Task<> Worker::extend(Lock& lock) {
  const std::int64_t percent = world_.chance(500'000) ? 100 : world_.random.between(20, 200);
  const milliseconds expiry = std::max(habits_.expiry * percent / 100, milliseconds{50});
  engine::Extending extending{process_.session(), lock.granted().lease, lock.granted().turn, {.expiry = expiry}};
  Noted procedure{extending, [&] { lock.note_lease(); }};
  co_await process_.peer().drive(bell_, procedure);
  if (const auto loss = extending.take_loss()) loss->run();
}

Task<> Worker::give_back(Lock& lock) {
  const Acquisition::Granted& granted = lock.granted();
  GivingBack giving{process_.session(), granted.lease, granted.turn, granted.ticket};
  co_await process_.peer().drive(bell_, giving);
  if (const auto loss = giving.take_loss()) loss->run();
  const GivingBack::Outcome& outcome = giving.outcome();
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

/// Two kinds of ids are recorded: one for the wait of this thread; and that of the way to the server, from when on it drives that, which
/// it may have from another thread, and leave to another one.
Task<std::unique_ptr<Lock>> Worker::acquire(const protocol::Key& key, const engine::Wishes& wishes) {
  const std::string wait = std::to_string(client_) + "-" + std::to_string(++rounds_);
  Event event{.kind = Event::Kind::want,
              .client = client_,
              .key = std::string{key.text()},
              .id = wait,
              .until = wishes.wait_until ? process_.when(*wishes.wait_until) : Time{0}};
  world_.record(event);
  const auto stop = stop_some_time();
  Acquisition acquisition{process_.session(), key, wishes, bell_};
  std::string at_server;
  Noted procedure{acquisition, [&] {
                    const protocol::OwnerId* const id = acquisition.id();
                    if (id == nullptr || at_server == id->text()) return;
                    at_server = event.id = id->text();
                    world_.record(event);
                  }};
  co_await process_.peer().drive(bell_, procedure, stop.get());
  stop->bell = nullptr;
  Acquisition::Outcome outcome = acquisition.take_outcome();
  event.kind = Event::Kind::ended;
  event.until = Time{0};
  if (auto* granted = std::get_if<Acquisition::Granted>(&outcome)) {
    event.id = wait;
    event.note = "has-it";
    world_.record(event);
    co_return std::make_unique<Lock>(process_, bell_, client_, std::move(*granted));
  }
  event.note = why_not(outcome);
  if (!at_server.empty()) world_.record(event);
  event.id = wait;
  world_.record(std::move(event));
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

}  // namespace redismutex::sim
