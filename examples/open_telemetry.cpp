// Tells OpenTelemetry what happens to locks, under the names that docs/metrics.md lists; what it has heard is printed in the end. Another
// exporter of OpenTelemetry's, such as the one for OTLP, goes where the one to std::cout does.

#include <opentelemetry/exporters/ostream/metric_exporter_factory.h>
#include <opentelemetry/metrics/meter.h>
#include <opentelemetry/sdk/metrics/export/periodic_exporting_metric_reader_factory.h>
#include <opentelemetry/sdk/metrics/export/periodic_exporting_metric_reader_options.h>
#include <opentelemetry/sdk/metrics/meter_provider.h>
#include <opentelemetry/sdk/metrics/view/instrument_selector_factory.h>
#include <opentelemetry/sdk/metrics/view/meter_selector_factory.h>
#include <opentelemetry/sdk/metrics/view/view_factory.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <redismutex/redismutex.hpp>
#include <string_view>
#include <utility>

namespace otel = opentelemetry;

namespace {

using redismutex::AttemptEnded;
using redismutex::HoldEnded;
using redismutex::Loss;

const char* name_of(AttemptEnded::Outcome outcome) {
  switch (outcome) {
    case AttemptEnded::Outcome::free: return "free";
    case AttemptEnded::Outcome::handed_over: return "handed_over";
    case AttemptEnded::Outcome::passed: return "passed";
    case AttemptEnded::Outcome::taken: return "taken";
    case AttemptEnded::Outcome::timed_out: return "timed_out";
    case AttemptEnded::Outcome::cancelled: return "cancelled";
    case AttemptEnded::Outcome::queue_full: return "queue_full";
    case AttemptEnded::Outcome::error: break;
  }
  return "error";
}

const char* name_of(HoldEnded::Outcome outcome) {
  switch (outcome) {
    case HoldEnded::Outcome::released: return "released";
    case HoldEnded::Outcome::expired: return "expired";
    case HoldEnded::Outcome::gone: return "gone";
    case HoldEnded::Outcome::left: return "left";
    case HoldEnded::Outcome::unknown:
    case HoldEnded::Outcome::abandoned: break;
  }
  return "unknown";
}

double seconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double>{duration}.count(); }

otel::nostd::string_view text(std::string_view view) { return {view.data(), view.size()}; }

class OpenTelemetryMetrics final : public redismutex::Observer {
 public:
  explicit OpenTelemetryMetrics(otel::metrics::Meter& meter)
      : attempts_{meter.CreateDoubleHistogram("redismutex.acquire.duration", "How long attempts took", "s")},
        holds_{meter.CreateDoubleHistogram("redismutex.hold.duration", "How long locks were held", "s")},
        requests_{meter.CreateDoubleHistogram("db.client.operation.duration", "How long answers took", "s")},
        held_{meter.CreateInt64UpDownCounter("redismutex.locks.held", "Locks that are held", "{lock}")},
        losses_{meter.CreateUInt64Counter("redismutex.losses", "Locks lost while they were held", "{lock}")},
        renewals_{meter.CreateUInt64Counter("redismutex.renewals", "Leases extended, or not", "{lease}")} {}

  void attempt_ended(const AttemptEnded& event) noexcept override {
    attempts_->Record(seconds(event.waited), {{"mutex", text(event.mutex)}, {"outcome", name_of(event.outcome)}},
                      here_);
    if (event.acquired()) held_->Add(1, {{"mutex", text(event.mutex)}});
  }
  void hold_ended(const HoldEnded& event) noexcept override {
    if (event.outcome == HoldEnded::Outcome::abandoned) return;  // the parent process counts it
    holds_->Record(seconds(event.held), {{"mutex", text(event.mutex)}, {"outcome", name_of(event.outcome)}}, here_);
    held_->Add(-1, {{"mutex", text(event.mutex)}});
  }
  void lock_lost(const redismutex::LockLost& event) noexcept override {
    losses_->Add(1, {{"mutex", text(event.mutex)}, {"reason", event.why == Loss::expired ? "expired" : "gone"}});
  }
  void lease_renewed(const redismutex::LeaseRenewed& /*event*/) noexcept override {
    renewals_->Add(1, {{"outcome", "renewed"}});
  }
  void renewal_failed(const redismutex::RenewalFailed& event) noexcept override {
    renewals_->Add(event.leases, {{"outcome", "failed"}});
  }
  void request_answered(const redismutex::RequestAnswered& event) noexcept override {
    requests_->Record(seconds(event.duration), {{"db.system.name", "redis"}, {"server.address", text(event.server)}},
                      here_);
  }

 private:
  const otel::context::Context here_;
  otel::nostd::unique_ptr<otel::metrics::Histogram<double>> attempts_, holds_, requests_;
  otel::nostd::unique_ptr<otel::metrics::UpDownCounter<std::int64_t>> held_;
  otel::nostd::unique_ptr<otel::metrics::Counter<std::uint64_t>> losses_, renewals_;
};

/// Those that histograms have without this are for milliseconds.
void use_buckets_of_seconds(otel::sdk::metrics::MeterProvider& provider) {
  namespace sdk = otel::sdk::metrics;
  const auto buckets = std::make_shared<sdk::HistogramAggregationConfig>();
  buckets->boundaries_ = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                          0.25,   0.5,     1,      2.5,   5,      10,    30,   60,    300};
  provider.AddView(sdk::InstrumentSelectorFactory::Create(sdk::InstrumentType::kHistogram, "*", "s"),
                   sdk::MeterSelectorFactory::Create("redismutex", "", ""),
                   sdk::ViewFactory::Create("", "", sdk::AggregationType::kHistogram, buckets));
}

}  // namespace

int main() try {
  otel::sdk::metrics::MeterProvider provider;
  use_buckets_of_seconds(provider);
  provider.AddMetricReader(otel::sdk::metrics::PeriodicExportingMetricReaderFactory::Create(
      otel::exporter::metrics::OStreamMetricExporterFactory::Create(),
      otel::sdk::metrics::PeriodicExportingMetricReaderOptions{}));
  const auto meter = provider.GetMeter("redismutex", text(redismutex::version()));

  const char* const url = std::getenv("REDIS_URL");
  redismutex::ConnectionOptions options = redismutex::parse_url(url != nullptr ? url : "redis://localhost:6379");
  options.observer = std::make_shared<OpenTelemetryMetrics>(*meter);
  const redismutex::RedisMutex mutex{redismutex::Connection{std::move(options)}, {.name = "imports"}};
  for (int i = 0; i < 3; ++i) mutex.acquire_lock("imports:customers").release();

  provider.ForceFlush();
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
