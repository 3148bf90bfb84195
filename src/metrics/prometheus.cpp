#include <chrono>
#include <redismutex/prometheus.hpp>

#include "metrics/series.hpp"
#include "metrics/waits.hpp"

namespace redismutex {
inline namespace REDISMUTEX_ABI {
namespace {

template <class Duration>
double seconds(Duration duration) {
  return std::chrono::duration<double>{duration}.count();
}

/// Events must not throw; one that there is no memory for is not counted.
template <class Count>
void try_to(Count count) noexcept {
  try {
    count();
  } catch (...) {  // NOLINT(bugprone-empty-catch)
  }
}

}  // namespace

struct PrometheusMetrics::State {
  metrics::Series series;
  metrics::Waits waits;
};

PrometheusMetrics::PrometheusMetrics() : state_{std::make_unique<State>()} {}
PrometheusMetrics::~PrometheusMetrics() = default;

std::vector<::prometheus::MetricFamily> PrometheusMetrics::Collect() const {
  const auto waits = state_->waits.summaries(metrics::Waits::Clock::now());
  state_->series.for_each_mutex([&](const std::string& name, const metrics::OfMutex& of_mutex) {
    const auto found = waits.find(name);
    const metrics::Waits::Summary summary = found == waits.end() ? metrics::Waits::Summary{} : found->second;
    of_mutex.waiters->Set(static_cast<double>(summary.number));
    of_mutex.oldest_wait->Set(seconds(summary.oldest));
  });
  return state_->series.collect();
}

void PrometheusMetrics::wait_began(const WaitBegan& event) noexcept {
  try_to([&] {
    state_->series.of_mutex(event.mutex);  // so that there is somebody for whom to collect
    state_->waits.begin(event.attempt, event.mutex, metrics::Waits::Clock::now());
  });
}

void PrometheusMetrics::attempt_ended(const AttemptEnded& event) noexcept {
  if (event.has_waited) try_to([&] { state_->waits.end(event.attempt); });
  try_to([&] {
    const metrics::OfMutex& of_mutex = state_->series.of_mutex(event.mutex);
    of_mutex.attempts[event.outcome].Observe(seconds(event.waited));
    if (event.acquired()) of_mutex.held->Increment();
    if (event.handover_delay) of_mutex.handover_delays->Observe(seconds(*event.handover_delay));
    if (event.claims_lost > 0) of_mutex.claims_lost->Increment(static_cast<double>(event.claims_lost));
  });
}

void PrometheusMetrics::hold_ended(const HoldEnded& event) noexcept {
  if (event.outcome == HoldEnded::Outcome::abandoned) return;  // it is the parent's, and counted there
  try_to([&] {
    const metrics::OfMutex& of_mutex = state_->series.of_mutex(event.mutex);
    of_mutex.holds[event.outcome].Observe(seconds(event.held));
    of_mutex.held->Decrement();
    if (of_mutex.held->Value() <= 0) of_mutex.queue->Set(0);
  });
}

void PrometheusMetrics::lock_lost(const LockLost& event) noexcept {
  try_to([&] {
    const metrics::OfMutex& of_mutex = state_->series.of_mutex(event.mutex);
    of_mutex.losses[event.why].Increment();
    if (event.claim) of_mutex.claims_lost->Increment();
  });
}

void PrometheusMetrics::lease_renewed(const LeaseRenewed& event) noexcept {
  state_->series.renewed().Increment();
  try_to([&] { state_->series.of_mutex(event.mutex).queue->Set(static_cast<double>(event.waiting)); });
}

void PrometheusMetrics::renewal_failed(const RenewalFailed& event) noexcept {
  state_->series.renewals_failed().Increment(static_cast<double>(event.leases));
}

void PrometheusMetrics::connected(const Connected& event) noexcept {
  try_to([&] {
    const metrics::OfServer& of_server = state_->series.of_server(event.server);
    (event.again ? of_server.reconnected : of_server.connected)->Increment();
    of_server.up->Increment();
  });
}

void PrometheusMetrics::connect_failed(const ConnectFailed& event) noexcept {
  try_to([&] { state_->series.of_server(event.server).failed->Increment(); });
}

void PrometheusMetrics::disconnected(const Disconnected& event) noexcept {
  try_to([&] {
    const metrics::OfServer& of_server = state_->series.of_server(event.server);
    of_server.disconnects->Increment();
    of_server.up->Decrement();
  });
}

void PrometheusMetrics::request_answered(const RequestAnswered& event) noexcept {
  try_to([&] { state_->series.of_server(event.server).requests[event.kind].Observe(seconds(event.duration)); });
}

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
