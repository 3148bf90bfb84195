#include "metrics.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>

#include "people.hpp"
#include "shared/metric_label.hpp"

namespace redismutex::cli {
namespace {

std::string in_seconds(std::chrono::duration<double> seconds) {
  std::array<char, 32> text{};
  return {text.data(), static_cast<std::size_t>(std::snprintf(text.data(), text.size(), "%.3f", seconds.count()))};
}

bool is_taken(const Inspection& seen) { return seen.state != Inspection::State::free; }

std::optional<std::string> lease(const Inspection& seen) {
  if (!is_taken(seen)) return std::nullopt;
  return seen.lease_left ? in_seconds(*seen.lease_left) : "+Inf";
}

std::optional<std::string> metric_since(const Inspection& seen) {
  const auto since = held_since(seen);
  if (!since) return std::nullopt;
  return in_seconds(since->moment.time_since_epoch());
}

struct Metric {
  std::string_view name;
  std::string_view help;
  std::optional<std::string> (*value)(const Inspection& seen);  // none: there is no sample for this lock
};

constexpr std::array metrics{
    Metric{"redismutex_lock_held",
           "Whether the lock is taken: 1, also by a program that does not use redismutex, or 0.",
           [](const Inspection& seen) { return std::optional<std::string>{is_taken(seen) ? "1" : "0"}; }},
    Metric{"redismutex_lock_waiting", "How many wait for the lock.",
           [](const Inspection& seen) { return std::optional{std::to_string(seen.waiting)}; }},
    Metric{"redismutex_lock_lease_seconds",
           "How long until the server frees the lock, if it is not renewed. +Inf: it never does.", lease},
    Metric{"redismutex_lock_held_since_timestamp_seconds",
           "When the holder got the lock or, where nothing tells that, when it began to want it.", metric_since},
};

}  // namespace

std::string metrics_of(std::span<const Inspection> seen) {
  std::set<std::string> labels;
  for (const Inspection& each : seen) {
    const std::string label = metric_label(each.key);
    if (!labels.insert(label).second) throw std::invalid_argument{"two keys are both shown as " + label};
  }
  std::string text;
  for (const auto& [name, help, value] : metrics) {
    text.append("# HELP ").append(name).append(" ").append(help).append("\n");
    text.append("# TYPE ").append(name).append(" gauge\n");
    for (const Inspection& each : seen) {
      const auto sample = value(each);
      if (sample) text.append(name).append("{lock=" + metric_label(each.key) + "} " + *sample + "\n");
    }
  }
  return text;
}

}  // namespace redismutex::cli
