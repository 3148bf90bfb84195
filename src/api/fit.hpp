#pragma once

#include <redismutex/options.hpp>

namespace redismutex::api {

/// The options with every duration said: those that were left out are fitted to those that are there.
///
/// Throws std::invalid_argument, naming field, value and bound, for what can not work; and both fields and a remedy for
/// durations that contradict each other. Fitting what was fitted changes nothing.
Options fit(Options options);

}  // namespace redismutex::api
