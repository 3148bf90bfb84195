#pragma once

#include <redismutex/inspection.hpp>
#include <string>

namespace redismutex::cli {

/// Of a mutex that was taken from its holder: whether the old holder knows.
std::string told_text(const Inspection& was);

}  // namespace redismutex::cli
