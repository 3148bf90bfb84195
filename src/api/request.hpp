#pragma once

#include <system_error>
#include <variant>

#include "api/report.hpp"
#include "api/runtime.hpp"
#include "protocol/exchange.hpp"

namespace redismutex::api {

/// Drives a machine of the protocol layer for a caller that waits; `at`: see Runtime::run(). Throws ConnectionError and ResourceError for what keeps it from its
/// end.
template <class Machine>
void drive(Runtime& runtime, Machine& machine, const report::Action& action, route::Server* at = nullptr) {
  try {
    if (const auto failure = runtime.run(machine, at)) report::raise(runtime.server_name(), action, *failure);
  } catch (const std::system_error& error) {
    report::raise(runtime.server_name(), action, {net::Failure::Kind::exhausted, error.code().message()});
  }
}

/// Throws ServerError for a machine that has ended with a refusal.
template <class Machine>
void raise_refusal(const Runtime& runtime, Machine& machine, const report::Action& action) {
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
    report::raise(runtime.server_name(), action, *refused);
  }
}

/// Both.
template <class Machine>
void request(Runtime& runtime, Machine& machine, const report::Action& action, route::Server* at = nullptr) {
  drive(runtime, machine, action, at);
  raise_refusal(runtime, machine, action);
}

}  // namespace redismutex::api
