// A program of a user of the metrics: serves nothing, but has what it would serve.

#include <prometheus/text_serializer.h>

#include <iostream>
#include <redismutex/prometheus.hpp>

int main() {
  const redismutex::PrometheusMetrics metrics;
  const std::string text = prometheus::TextSerializer{}.Serialize(metrics.Collect());
  if (text.find("redismutex_build_info{version=\"" REDISMUTEX_VERSION "\"} 1") == std::string::npos) return 1;
  std::cout << "metrics: ok\n";
}
