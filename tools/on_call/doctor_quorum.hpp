#pragma once

#include <redismutex/connection_options.hpp>
#include <vector>

#include "judgements.hpp"

namespace redismutex::cli {

/// All that is found at the servers of a quorum, each by itself, and what they are together. `writes`: as of Examination.
Findings examine_quorum(const std::vector<ConnectionOptions>& servers, bool writes);

}  // namespace redismutex::cli
