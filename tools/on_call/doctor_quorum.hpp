#pragma once

#include <redismutex/connection_options.hpp>
#include <vector>

#include "doctor_checks.hpp"
#include "judgements.hpp"

namespace redismutex::cli {

/// All that is found at the servers of a quorum, each by itself, and what they are together. `of_each`: how; the server in it does not matter.
Findings examine_quorum(const std::vector<ConnectionOptions>& servers, const Examination& of_each);

}  // namespace redismutex::cli
