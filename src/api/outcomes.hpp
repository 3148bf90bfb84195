#pragma once

#include <redismutex/observer.hpp>
#include <string>

#include "api/report.hpp"
#include "engine/extending.hpp"
#include "engine/giving_back.hpp"
#include "route/callbacks.hpp"

/// What a holder hears of an extension or a release, whether its lock is at one server or at a quorum.
namespace redismutex::api {

/// Throws for what is no extension: MutexUnlockError, ServerError, ConnectionError.
void raise_unless_extended(const std::string& server, const report::Action& action,
                           const engine::Extending::Outcome& outcome);

/// Throws for what went wrong: as above. What is tried again in the background is told to the log.
void raise_unless_released(const std::string& server, const report::Action& action,
                           const engine::GivingBack::Outcome& outcome, const route::Callbacks& callbacks);

HoldEnded::Outcome ending_of(const engine::GivingBack::Outcome& outcome);

}  // namespace redismutex::api
