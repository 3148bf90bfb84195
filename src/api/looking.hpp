#pragma once

#include <redismutex/inspection.hpp>
#include <redismutex/operate.hpp>
#include <vector>

#include "api/report.hpp"
#include "api/runtime.hpp"
#include "protocol/inspect.hpp"
#include "protocol/key.hpp"

namespace redismutex::api {

/// What stands at these keys, in their order; with only_locks some are left out. In a cluster each slot is asked for by itself. Throws as
/// api::request().
std::vector<Inspection> look(Runtime& runtime, const std::vector<protocol::Key>& keys, const InspectOptions& options,
                             protocol::Inspect::Which which, const report::Action& action);

}  // namespace redismutex::api
