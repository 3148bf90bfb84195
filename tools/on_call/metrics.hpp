#pragma once

#include <redismutex/inspection.hpp>
#include <span>
#include <string>

namespace redismutex::cli {

/// The locks as gauges, in Prometheus's text format: what a textfile collector reads. Throws std::invalid_argument for two keys that are
/// shown as the same text, whose series could not be told apart.
std::string metrics_of(std::span<const Inspection> seen);

}  // namespace redismutex::cli
