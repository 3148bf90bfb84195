#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <functional>
#include <map>
#include <redismutex/observer.hpp>
#include <shared_mutex>
#include <string>
#include <string_view>

namespace redismutex::metrics {

/// A series for each value of an enumeration, whose last value is `last`.
template <class Kind, auto last, class Outcome = decltype(last)>
class PerOutcome {
 public:
  static constexpr std::size_t number = static_cast<std::size_t>(last) + 1;

  Kind*& operator[](Outcome outcome) { return series_.at(static_cast<std::size_t>(outcome)); }
  Kind& operator[](Outcome outcome) const { return *series_.at(static_cast<std::size_t>(outcome)); }

 private:
  std::array<Kind*, number> series_{};
};

/// What is counted of the mutexes with one name.
struct OfMutex {
  PerOutcome<::prometheus::Histogram, AttemptEnded::Outcome::error> attempts;
  PerOutcome<::prometheus::Histogram, HoldEnded::Outcome::left> holds;  // none is `abandoned`
  PerOutcome<::prometheus::Counter, Loss::gone> losses;
  ::prometheus::Counter* claims_lost = nullptr;
  ::prometheus::Histogram* handover_delays = nullptr;
  ::prometheus::Gauge* held = nullptr;
  ::prometheus::Gauge* waiters = nullptr;
  ::prometheus::Gauge* oldest_wait = nullptr;
  ::prometheus::Gauge* queue = nullptr;
};

/// What is counted of one server.
struct OfServer {
  ::prometheus::Gauge* up = nullptr;
  ::prometheus::Counter* connected = nullptr;
  ::prometheus::Counter* reconnected = nullptr;
  ::prometheus::Counter* failed = nullptr;
  ::prometheus::Counter* disconnects = nullptr;
  PerOutcome<::prometheus::Histogram, RequestAnswered::Kind::other> requests{};
};

/// All series. Those of a mutex or a server are there from the first time that it is named, so that rates begin at 0. Thread-safe.
class Series {
 public:
  Series();

  /// They stay where they are. Throws std::bad_alloc.
  const OfMutex& of_mutex(std::string_view name);
  const OfServer& of_server(std::string_view name);

  ::prometheus::Counter& renewed() noexcept { return *renewed_; }
  ::prometheus::Counter& renewals_failed() noexcept { return *renewals_failed_; }

  void for_each_mutex(const std::function<void(const std::string& name, const OfMutex&)>& each) const;
  std::vector<::prometheus::MetricFamily> collect() const { return registry_.Collect(); }

 private:
  template <class Of>
  using ByName = std::map<std::string, Of, std::less<>>;

  template <class Of>
  const Of& find_or_make(ByName<Of>& all, std::string_view name, Of (Series::*make)(const std::string&));
  OfMutex make_mutex(const std::string& name);
  OfServer make_server(const std::string& name);

  ::prometheus::Registry registry_;
  ::prometheus::Family<::prometheus::Histogram>& attempts_;
  ::prometheus::Family<::prometheus::Histogram>& holds_;
  ::prometheus::Family<::prometheus::Counter>& losses_;
  ::prometheus::Family<::prometheus::Counter>& claims_lost_;
  ::prometheus::Family<::prometheus::Histogram>& handover_delays_;
  ::prometheus::Family<::prometheus::Gauge>& held_;
  ::prometheus::Family<::prometheus::Gauge>& waiters_;
  ::prometheus::Family<::prometheus::Gauge>& oldest_waits_;
  ::prometheus::Family<::prometheus::Gauge>& queues_;
  ::prometheus::Family<::prometheus::Gauge>& up_;
  ::prometheus::Family<::prometheus::Counter>& connections_;
  ::prometheus::Family<::prometheus::Counter>& disconnects_;
  ::prometheus::Family<::prometheus::Histogram>& requests_;
  ::prometheus::Counter* renewed_ = nullptr;
  ::prometheus::Counter* renewals_failed_ = nullptr;

  mutable std::shared_mutex mutex_;
  ByName<OfMutex> mutexes_;
  ByName<OfServer> servers_;
};

}  // namespace redismutex::metrics
