#include "sim/worker.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "protocol/release.hpp"
#include "sim/clean_up.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;
using protocol::Acquire;
using protocol::Instant;
using std::chrono::milliseconds;

namespace {

std::string why_not(const std::optional<Failure>& failure, const Acquire::Outcome& outcome) {
  if (failure) {
    switch (*failure) {
      case Failure::unreachable: return "unreachable";
      case Failure::timed_out: return "timed-out";
      case Failure::cancelled: return "cancelled";
      case Failure::forgotten: return "forgotten";
    }
  }
  if (const auto* refused = std::get_if<protocol::Refusal>(&outcome)) return "refused-" + refused->code;
  return std::holds_alternative<Acquire::Full>(outcome) ? "full" : "taken";
}

}  // namespace

Task<> Worker::run() {
  for (int round = 0; round < world_.profile.rounds; ++round) {
    co_await process_.sleep(bell_, world_.now() + world_.random.between(Time{0}, habits_.longest_think));
    co_await turn(world_.keys[world_.random.below(world_.keys.size())]);
  }
}

Worker::Wishes Worker::make_wishes() {
  Random& random = world_.random;
  Wishes wishes{.fencing = random.chance(world_.profile.fencing), .longest_stay = habits_.longest_stay};
  if (random.chance(50'000)) wishes.longest_stay = 2 * Time{habits_.expiry};  // longer than the lease
  if (random.chance(100'000)) {
    wishes.renewal = true;
    if (random.chance(300'000)) wishes.longest_stay = 3 * Time{habits_.expiry};
  }
  wishes.watching = random.chance(100'000);
  if (random.chance(world_.profile.passes)) wishes.most_passes = static_cast<int>(random.between(1, 20));
  return wishes;
}

Task<> Worker::turn(const protocol::Key& key) {
  const Wishes wishes = make_wishes();
  const auto lease = co_await acquire(key, wishes);
  if (!lease) co_return;
  co_await process_.point(bell_);
  // Whoever looks before acting finds a lease that ended meanwhile.
  for (int passes = 0; lease->valid(); ++passes) {
    co_await use(lease, wishes);
    if (passes == wishes.most_passes || !lease->pass(16)) break;
    // The next thread wakes up.
    co_await process_.sleep(bell_, world_.now() + world_.random.between(1us, 20us));
    co_await process_.point(bell_);
  }
  co_await lease->release();
}

Task<> Worker::use(std::shared_ptr<Lease> lease, const Wishes& wishes) {
  lease->enter(wishes.cared_for());
  if (!wishes.renewal) lease->confirm();
  if (wishes.cared_for()) {
    Caretaker::Care care{.renew_to = wishes.renewal ? lease->expiry() : 0ms};
    if (wishes.renewal && world_.chance(200'000)) care.no_longer_than = process_.now() + 2 * lease->expiry();
    process_.caretaker().take(lease, care);
  }
  co_await stay(*lease, wishes);
  process_.caretaker().forget(*lease);
  lease->leave();
}

Task<> Worker::stay(Lease& lease, const Wishes& wishes) {
  Random& random = world_.random;
  const Time leave_at = world_.now() + random.between(Time{0}, wishes.longest_stay);
  const auto next_extension = [&] {
    return random.chance(200'000) ? world_.now() + random.between(Time{0}, leave_at - world_.now()) : never;
  };
  Time extend_at = next_extension();
  co_await process_.point(bell_);
  while (lease.valid() && world_.now() < leave_at) {
    if (world_.now() >= extend_at) {
      const std::int64_t percent = random.chance(500'000) ? 100 : random.between(20, 200);
      const milliseconds expiry = std::max(habits_.expiry * percent / 100, milliseconds{50});
      co_await lease.extend(expiry);
      extend_at = world_.now() < leave_at ? next_extension() : never;
      continue;
    }
    const Time over_at = process_.clock().when(lease.valid_until());
    co_await bell_.wait_until(std::min(std::min(leave_at, extend_at), over_at));
  }
}

// ---- acquiring ------------------------------------------------------------------------------------------------------

Task<std::shared_ptr<Lease>> Worker::acquire(const protocol::Key& key, const Wishes& wishes) {
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
                 .id = std::string{id.text()},
                 .until = waits ? deadline : Time{0}});

  const auto stop = stop_some_time();
  bool& contended = process_.contended(key);
  Acquire machine{key,
                  id,
                  {.expiry = habits_.expiry,
                   .wait_until = waits ? std::optional{wait_until} : std::nullopt,
                   .delay = habits_.delay,
                   .max_waiters = habits_.max_waiters,
                   .fencing = wishes.fencing ? protocol::Fencing::with_token : protocol::Fencing::without_token,
                   .mailbox = mailbox,
                   .expect_line = contended}};
  Box box{key, id, bell_, habits_.delay};
  process_.add(box);
  const auto failure = co_await process_.run(bell_, machine, deadline, stop.get(), &box);
  process_.remove(box);
  stop->bell = nullptr;
  contended = machine.met_others();
  if (machine.left_traces() && failure != Failure::forgotten) {
    clean_up(process_, {.key = key,
                        .id = id,
                        .until = process_.now() + habits_.expiry,
                        .details = machine.details(),
                        .former_details = machine.former_details()});
  }
  if (const auto* held = std::get_if<Acquire::Held>(&machine.outcome()); held != nullptr && !failure) {
    co_return std::make_shared<Lease>(process_, bell_, client_, key, id, habits_.expiry, *held);
  }
  world_.record({.kind = Event::Kind::ended,
                 .client = client_,
                 .key = key.text(),
                 .id = std::string{id.text()},
                 .note = why_not(failure, machine.outcome())});
  if (failure == Failure::forgotten) co_return co_await acquire(key, wishes);
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
