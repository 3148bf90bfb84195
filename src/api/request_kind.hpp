#pragma once

#include <redismutex/observer.hpp>
#include <span>

#include "route/procedure.hpp"

namespace redismutex::api {

/// What commands that left in one write are for, as an Observer is told.
RequestAnswered::Kind kind_of(std::span<const route::Procedure::Command> commands) noexcept;

}  // namespace redismutex::api
