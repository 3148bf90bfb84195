#include "sim/caretaker.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "sim/process.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;
using protocol::ExtendMany;
using protocol::Instant;
using std::chrono::milliseconds;

Caretaker::Caretaker(Process& process) : process_{process}, bell_{process.world(), process} {}

void Caretaker::take(const std::shared_ptr<Lease>& lease, const Care& care) {
  wards_.push_back(std::make_unique<Ward>(Ward{.lease = lease, .care = care, .due = process_.now() + 5ms}));
  rung_ = true;
  bell_.ring();
  if (!std::exchange(started_, true)) process_.spawn_servant(run());
}

void Caretaker::forget(const Lease& lease) {
  // One that is being visited goes later: it is looked at behind the visit.
  for (const auto& ward : wards_) {
    if (ward->lease.get() == &lease && ward->visited) ward->due = Instant::max();
  }
  std::erase_if(wards_, [&](const auto& ward) { return ward->lease.get() == &lease && !ward->visited; });
}

void Caretaker::key_changed(const std::string& key) {
  for (const auto& ward : wards_) {
    if (ward->lease->key().text() == key) ward->due = process_.now();
  }
  rung_ = true;
  bell_.ring();
}

void Caretaker::all_changed() {
  for (const auto& ward : wards_) ward->due = process_.now();
  rung_ = true;
  bell_.ring();
}

Task<> Caretaker::run() {
  for (;;) {
    std::erase_if(wards_, [](const auto& ward) { return ward->lease->ended(); });
    std::vector<Ward*> due = gather();
    if (!due.empty()) {
      co_await visit(std::move(due));
      continue;
    }
    Time next = never;
    for (const auto& ward : wards_) {
      if (ward->due != Instant::max()) next = std::min(next, process_.clock().when(ward->due));
    }
    rung_ = false;
    while (!rung_ && process_.world().now() < next) co_await bell_.wait_until(next);
  }
}

/// What is due, or so soon that it can go along; if there is still anything to do for it.
std::vector<Caretaker::Ward*> Caretaker::gather() {
  std::vector<Ward*> due;
  const Instant here = process_.now();
  if (std::none_of(wards_.begin(), wards_.end(), [here](const auto& ward) { return ward->due <= here; })) return due;
  for (const auto& ward : wards_) {
    if (ward->due > here + std::chrono::nanoseconds{ward->care.renew_to} / 30) continue;
    ward->due = Instant::max();
    if (!ward->lease->valid()) {
      ward->lease->lose();
      continue;
    }
    const Instant wanted = std::min(here + ward->care.renew_to, ward->care.no_longer_than);
    const bool renews = ward->care.renew_to.count() > 0 && wanted > ward->lease->valid_until();
    ward->renew_to = renews ? std::chrono::floor<milliseconds>(wanted - here) : milliseconds{0};
    ward->visited = true;
    due.push_back(ward.get());
  }
  return due;
}

Task<> Caretaker::visit(std::vector<Ward*> wards) {
  std::vector<ExtendMany::Item> items;
  Time deadline = process_.patience();
  for (const Ward* ward : wards) {
    items.push_back({&ward->lease->key(), &ward->lease->id(), ward->renew_to});
    if (ward->renew_to.count() > 0) deadline = std::min(deadline, process_.clock().when(ward->lease->valid_until()));
  }
  ExtendMany machine{std::move(items), process_.watches_holds() ? protocol::Tracking::on : protocol::Tracking::off};
  const auto failure = co_await process_.run(bell_, machine, deadline);
  for (Ward* ward : wards) ward->visited = false;
  if (failure || std::holds_alternative<protocol::Refusal>(machine.outcome())) {
    retry(wards);
  } else {
    take_in(wards, machine);
  }
}

void Caretaker::take_in(const std::vector<Ward*>& wards, const ExtendMany& machine) {
  const auto& fates = std::get<std::vector<ExtendMany::Fate>>(machine.outcome());
  const Instant here = process_.now();
  const std::int64_t share = process_.world().random.between(280, 333);
  failures_ = 0;
  for (std::size_t i = 0; i < wards.size(); ++i) {
    Ward& ward = *wards[i];
    if (ward.lease->ended()) continue;
    if (const auto* extended = std::get_if<protocol::Extend::Extended>(&fates[i])) {
      ward.lease->conclude_renewal(ward.renew_to, *extended);
    } else if (std::holds_alternative<protocol::Extend::Gone>(fates[i])) {
      ward.lease->note_gone();
      continue;
    }
    if (ward.due != Instant::max()) continue;  // its key was changed meanwhile
    if (ward.renew_to.count() > 0) {
      ward.due = here + std::chrono::nanoseconds{ward.care.renew_to} * share / 1000;
    } else if (ward.care.renew_to.count() > 0) {
      ward.due = ward.care.no_longer_than;
    }
  }
}

void Caretaker::retry(const std::vector<Ward*>& wards) {
  const auto pause = std::min<std::chrono::nanoseconds>(500ms, 20ms * (1U << std::min(failures_++, 5U)));
  const Instant again = process_.now() + process_.world().random.between(pause / 2, pause);
  for (Ward* ward : wards) ward->due = again;
}

}  // namespace redismutex::sim
