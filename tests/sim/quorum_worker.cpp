#include "sim/quorum_worker.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "engine/quorum/quorum_acquisition.hpp"
#include "engine/quorum/quorum_extending.hpp"
#include "engine/quorum/quorum_giving_back.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;
using engine::QuorumAcquisition;
using std::chrono::milliseconds;

namespace {

std::string why_not(const QuorumAcquisition::Outcome& outcome) {
  if (const auto* const failure = std::get_if<Failure>(&outcome)) return failure->text;
  if (const auto* const refused = std::get_if<protocol::Refusal>(&outcome)) return refused->text;
  return std::holds_alternative<QuorumAcquisition::Full>(outcome) ? "full" : "taken";
}

}  // namespace

Task<> QuorumWorker::run() {
  for (int round = 0; round < world_.profile.rounds; ++round) {
    co_await process_.sleep(bell_, world_.now() + world_.random.between(Time{0}, habits_.longest_think));
    co_await turn(world_.keys()[world_.random.below(world_.keys().size())]);
  }
}

void QuorumWorker::record(Event::Kind kind, const protocol::Key& key, std::string id, std::string note) {
  world_.record({.kind = kind,
                 .client = client_,
                 .key = std::string{key.text()},
                 .id = std::move(id),
                 .until = world_.now(),
                 .note = std::move(note)});
}

engine::Wishes QuorumWorker::wishes() {
  Random& random = world_.random;
  engine::Wishes wishes{.expiry = habits_.expiry,
                        .delay = habits_.delay,
                        .wait_until = std::nullopt,
                        .max_waiters = habits_.max_waiters,
                        .local_handoffs = 0,
                        .fencing = random.chance(world_.profile.fencing),
                        .renews = random.chance(world_.profile.renewals)};
  if (!random.chance(150'000)) {
    const milliseconds limit{random.chance(300'000) ? random.between(1, 100) : random.between(100, 10'000)};
    wishes.wait_until = process_.now() + limit;
    wishes.on_wait = [this] { ++witness_.waited; };
  }
  return wishes;
}

Task<> QuorumWorker::turn(const protocol::Key& key) {
  const Lease lease = co_await acquire(key, wishes());
  if (lease) co_await use(lease);
}

Task<> QuorumWorker::use(const Lease& lease) {
  const protocol::Key& key = lease->key();
  co_await process_.point(bell_);
  // Whoever looks before acting finds a lease that ended meanwhile.
  if (is_valid(lease)) {
    record(Event::Kind::inside, key, lease->value());
    witness_.enter(process_, client_, lease);
    witness_.end_wait(client_, lease->key_text());
    co_await stay(lease);
    witness_.leave(process_, client_, lease->key_text());
    record(Event::Kind::release, key, lease->value());
  }
  co_await give_back(lease);
}

Task<QuorumWorker::Lease> QuorumWorker::acquire(const protocol::Key& key, const engine::Wishes& wishes) {
  record(Event::Kind::want, key, {});
  const auto stop = stop_some_time(world_, bell_);
  Drive drive{process_, bell_, where_};
  const auto acquisition = std::make_shared<QuorumAcquisition>(panel_, key, wishes, drive.waker());
  if (wishes.wait_until) witness_.begin_wait(process_, client_, std::string{key.text()});
  co_await drive.run(acquisition, stop.get());
  stop->bell = nullptr;
  QuorumAcquisition::Outcome outcome = acquisition->take_outcome();
  if (auto* const granted = std::get_if<QuorumAcquisition::Granted>(&outcome)) co_return std::move(granted->lease);
  witness_.end_wait(client_, std::string{key.text()});
  record(Event::Kind::ended, key, {}, why_not(outcome));
  co_return nullptr;
}

// ---- inside ---------------------------------------------------------------------------------------------------------

Task<> QuorumWorker::stay(const Lease& lease) {
  Random& random = world_.random;
  Time longest = habits_.longest_stay;
  if (random.chance(50'000)) longest = 2 * Time{habits_.expiry};  // longer than the lease
  if (lease->terms().renews && random.chance(300'000)) longest = 3 * Time{habits_.expiry};
  const Time began = world_.now();
  const Time leave_at = began + random.between(Time{0}, longest);
  const auto next_extension = [&] {
    return random.chance(world_.profile.extensions) ? world_.now() + random.between(Time{0}, leave_at - world_.now())
                                                    : never;
  };
  Time extend_at = next_extension();
  while (is_valid(lease) && world_.now() < leave_at) {
    if (world_.now() >= extend_at) {
      co_await extend(lease);
      extend_at = world_.now() < leave_at ? next_extension() : never;
    } else {
      co_await bell_.wait_until(std::min(std::min(leave_at, extend_at), process_.when(lease->valid_until())));
    }
    witness_.look(process_, lease->key_text());
  }
  if (is_valid(lease)) co_return;
  record(Event::Kind::lost, lease->key(), lease->value());
  if (world_.profile.is_calm() && (lease->terms().renews || world_.now() < began + Time{habits_.expiry} * 9 / 10)) {
    witness_.found(process_, lease->key_text() + ": " + lease->value() + " is lost too early");
  }
}

Task<> QuorumWorker::extend(const Lease& lease) {
  const bool is_short = !world_.profile.is_calm() && world_.random.chance(500'000);
  const std::int64_t percent = is_short ? world_.random.between(50, 100) : 100;
  Drive drive{process_, bell_, where_};
  const auto extending = std::make_shared<engine::QuorumExtending>(
      lease, engine::Extending::Terms{.expiry = habits_.expiry * percent / 100}, drive.waker());
  co_await drive.run(extending);
  if (const auto loss = extending->take_loss()) loss->run();
}

Task<> QuorumWorker::give_back(const Lease& lease) {
  Drive drive{process_, bell_, where_};
  const auto giving = std::make_shared<engine::QuorumGivingBack>(lease, drive.waker());
  co_await drive.run(giving);
  if (const auto loss = giving->take_loss()) loss->run();
  const bool is_released = std::holds_alternative<engine::GivingBack::Released>(giving->outcome());
  record(is_released ? Event::Kind::released : Event::Kind::gone, lease->key(), lease->value());
}

}  // namespace redismutex::sim
