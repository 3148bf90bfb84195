#include "metrics/series.hpp"

#include <mutex>
#include <redismutex/printable.hpp>
#include <utility>

namespace redismutex::metrics {
namespace {

using ::prometheus::Counter;
using ::prometheus::Family;
using ::prometheus::Gauge;
using ::prometheus::Histogram;
using ::prometheus::Registry;

using Attempt = AttemptEnded::Outcome;
using Hold = HoldEnded::Outcome;
using Request = RequestAnswered::Kind;

template <class Outcome, std::size_t number>
using Names = std::array<std::pair<Outcome, const char*>, number>;

constexpr Names<Attempt, 8> attempt_names{{{Attempt::free, "free"},
                                           {Attempt::handed_over, "handed_over"},
                                           {Attempt::passed, "passed"},
                                           {Attempt::taken, "taken"},
                                           {Attempt::timed_out, "timed_out"},
                                           {Attempt::cancelled, "cancelled"},
                                           {Attempt::queue_full, "queue_full"},
                                           {Attempt::error, "error"}}};
constexpr Names<Hold, 5> hold_names{{{Hold::released, "released"},
                                     {Hold::expired, "expired"},
                                     {Hold::gone, "gone"},
                                     {Hold::unknown, "unknown"},
                                     {Hold::left, "left"}}};
constexpr Names<Request, 6> request_names{{{Request::acquire, "acquire"},
                                           {Request::line_up, "line_up"},
                                           {Request::look, "look"},
                                           {Request::extend, "extend"},
                                           {Request::release, "release"},
                                           {Request::other, "other"}}};
constexpr Names<Loss, 2> loss_names{{{Loss::expired, "expired"}, {Loss::gone, "gone"}}};

using Buckets = Histogram::BucketBoundaries;

// In seconds. A hand-over takes 0.1 ms, and a wait that is stuck takes minutes.
const Buckets& attempt_buckets() {
  static const Buckets buckets{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                               0.25,   0.5,     1,      2.5,   5,      10,    30,   60,    300};
  return buckets;
}

const Buckets& hold_buckets() {
  static const Buckets buckets{0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1, 2.5, 10, 30, 60, 300, 900, 3600};
  return buckets;
}

const Buckets& request_buckets() {
  static const Buckets buckets{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                               0.025,   0.05,   0.1,     0.25,   0.5,   1,      2};
  return buckets;
}

template <class Builder>
auto& make(Builder builder, Registry& registry, const std::string& name, const char* help) {
  return builder.Name("redismutex_" + name).Help(help).Register(registry);
}

Family<Histogram>& histogram(Registry& registry, const std::string& name, const char* help) {
  return make(::prometheus::BuildHistogram(), registry, name, help);
}
Family<Counter>& counter(Registry& registry, const std::string& name, const char* help) {
  return make(::prometheus::BuildCounter(), registry, name, help);
}
Family<Gauge>& gauge(Registry& registry, const std::string& name, const char* help) {
  return make(::prometheus::BuildGauge(), registry, name, help);
}

}  // namespace

Series::Series()
    : attempts_{histogram(registry_, "acquire_duration_seconds", "How long attempts to acquire a lock took.")},
      holds_{histogram(registry_, "hold_duration_seconds", "How long locks were held.")},
      losses_{counter(registry_, "losses_total", "Locks that were lost while somebody held them.")},
      claims_lost_{counter(registry_, "claims_lost_total",
                           "Locks that were handed over to somebody who did not say in time that he has it.")},
      handover_delays_{histogram(registry_, "handover_delay_seconds",
                                 "From when a lock was handed over until the next one had it.")},
      held_{gauge(registry_, "locks_held", "Locks that are held now.")},
      waiters_{gauge(registry_, "waiters", "Callers of this process that wait for a lock now.")},
      oldest_waits_{
          gauge(registry_, "oldest_wait_seconds", "How long the one that waits longest has waited; 0: nobody waits.")},
      queues_{gauge(registry_, "queue_length",
                    "Who waits at the server behind the lock whose lease was started anew last.")},
      up_{gauge(registry_, "connection_up", "Connections to the server that are there now.")},
      connections_{counter(registry_, "connections_total", "Attempts to connect, by what became of them.")},
      disconnects_{counter(registry_, "disconnects_total", "Connections that broke.")},
      requests_{
          histogram(registry_, "request_duration_seconds", "How long callers waited for an answer of the server.")} {
  auto& renewals = counter(registry_, "renewals_total", "Leases that were started anew, or could not be.");
  renewed_ = &renewals.Add({{"outcome", "renewed"}});
  renewals_failed_ = &renewals.Add({{"outcome", "failed"}});
  gauge(registry_, "build_info", "Always 1; the version of the library.")
      .Add({{"version", std::string{version()}}})
      .Set(1);
}

const OfMutex& Series::of_mutex(std::string_view name) { return find_or_make(mutexes_, name, &Series::make_mutex); }
const OfServer& Series::of_server(std::string_view name) { return find_or_make(servers_, name, &Series::make_server); }

template <class Of>
const Of& Series::find_or_make(ByName<Of>& all, std::string_view name, Of (Series::*make)(const std::string&)) {
  {
    const std::shared_lock lock{mutex_};
    if (const auto found = all.find(name); found != all.end()) return found->second;
  }
  const std::unique_lock lock{mutex_};
  if (const auto found = all.find(name); found != all.end()) return found->second;
  return all.emplace(name, (this->*make)(printable(name))).first->second;
}

OfMutex Series::make_mutex(const std::string& name) {
  OfMutex made;
  for (const auto& [outcome, word] : attempt_names) {
    made.attempts[outcome] = &attempts_.Add({{"mutex", name}, {"outcome", word}}, attempt_buckets());
  }
  for (const auto& [outcome, word] : hold_names) {
    made.holds[outcome] = &holds_.Add({{"mutex", name}, {"outcome", word}}, hold_buckets());
  }
  for (const auto& [why, word] : loss_names) made.losses[why] = &losses_.Add({{"mutex", name}, {"reason", word}});
  made.claims_lost = &claims_lost_.Add({{"mutex", name}});
  made.handover_delays = &handover_delays_.Add({{"mutex", name}}, request_buckets());
  made.held = &held_.Add({{"mutex", name}});
  made.waiters = &waiters_.Add({{"mutex", name}});
  made.oldest_wait = &oldest_waits_.Add({{"mutex", name}});
  made.queue = &queues_.Add({{"mutex", name}});
  return made;
}

OfServer Series::make_server(const std::string& name) {
  OfServer made{.up = &up_.Add({{"server", name}}),
                .connected = &connections_.Add({{"server", name}, {"outcome", "connected"}}),
                .reconnected = &connections_.Add({{"server", name}, {"outcome", "reconnected"}}),
                .failed = &connections_.Add({{"server", name}, {"outcome", "failed"}}),
                .disconnects = &disconnects_.Add({{"server", name}})};
  for (const auto& [kind, word] : request_names) {
    made.requests[kind] = &requests_.Add({{"server", name}, {"request", word}}, request_buckets());
  }
  return made;
}

void Series::for_each_mutex(const std::function<void(const std::string& name, const OfMutex&)>& each) const {
  const std::shared_lock lock{mutex_};
  for (const auto& [name, of_mutex] : mutexes_) each(name, of_mutex);
}

}  // namespace redismutex::metrics
