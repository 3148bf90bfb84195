// Serves metrics for Prometheus while it takes locks: metrics [ADDRESS [SECONDS]]. Then look at http://127.0.0.1:9464/metrics.

#include <prometheus/exposer.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <redismutex/prometheus.hpp>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

/// What two threads do that must not do it at the same time.
void import_again_and_again(const std::stop_token& stop, const redismutex::RedisMutex& mutex) {
  while (!stop.stop_requested()) {
    const auto lock = mutex.acquire_lock("imports:customers");
    std::this_thread::sleep_for(20ms);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const std::chrono::seconds how_long{argc > 2 ? std::stoi(argv[2]) : 3600};

  const auto metrics = std::make_shared<redismutex::PrometheusMetrics>();
  prometheus::Exposer exposer{argc > 1 ? argv[1] : "127.0.0.1:9464"};
  exposer.RegisterCollectable(metrics);
  std::cout << "http://127.0.0.1:" << exposer.GetListeningPorts().front() << "/metrics" << std::endl;

  const char* const url = std::getenv("REDIS_URL");
  redismutex::ConnectionOptions options = redismutex::parse_url(url != nullptr ? url : "redis://localhost:6379");
  options.observer = metrics;
  const redismutex::RedisMutex mutex{redismutex::Connection{options}, {.auto_renew = true, .name = "imports"}};

  const std::jthread one{import_again_and_again, std::cref(mutex)};
  const std::jthread other{import_again_and_again, std::cref(mutex)};
  std::this_thread::sleep_for(how_long);
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
