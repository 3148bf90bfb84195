#pragma once

#include <redismutex/config.hpp>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <memory>
#include <redismutex/observer.hpp>
#include <vector>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// Counts what happens on Connections, for Prometheus: an Observer of theirs, and a Collectable for prometheus-cpp's Exposer. One may serve
/// all Connections of a process. docs/metrics.md lists the metrics.
///
/// The label `mutex` is Options::name, `server` what display_name() says; no metric has a key. Thread-safe. A child of fork() needs one of its
/// own. Part of the component redismutex::prometheus, which a program links beside redismutex::redismutex.
class REDISMUTEX_EXPORT PrometheusMetrics final : public Observer, public ::prometheus::Collectable {
 public:
  PrometheusMetrics();
  ~PrometheusMetrics() override;
  PrometheusMetrics(const PrometheusMetrics&) = delete;
  PrometheusMetrics& operator=(const PrometheusMetrics&) = delete;

  /// All metrics, as they are now.
  std::vector<::prometheus::MetricFamily> Collect() const override;

  void wait_began(const WaitBegan& event) noexcept override;
  void attempt_ended(const AttemptEnded& event) noexcept override;
  void hold_ended(const HoldEnded& event) noexcept override;
  void lock_lost(const LockLost& event) noexcept override;
  void lease_renewed(const LeaseRenewed& event) noexcept override;
  void renewal_failed(const RenewalFailed& event) noexcept override;
  void connected(const Connected& event) noexcept override;
  void connect_failed(const ConnectFailed& event) noexcept override;
  void disconnected(const Disconnected& event) noexcept override;
  void request_answered(const RequestAnswered& event) noexcept override;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
