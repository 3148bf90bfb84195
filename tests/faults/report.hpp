#pragma once

#include <string>

#include "faults/trial.hpp"

namespace redismutex::faults {

/// One line of figures, and one of the troubles there were.
std::string summary(const Result& result);

/// What went wrong, the command that does it again, and the file that all events were written to.
std::string complaint(const Setting& setting, const Result& result);

}  // namespace redismutex::faults
