#pragma once

#include <redismutex/config.hpp>

#include <memory>
#include <string>
#include <variant>

#include "net/failure.hpp"
#include "net/stream.hpp"

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// Connects to the server of that name inside this process, or says why it takes nobody in. Never blocks.
using ConnectInProcess = std::variant<std::unique_ptr<net::Stream>, net::Failure> (*)(const std::string& name);

/// Has `memory:` URLs lead to what `connect` connects to. The library redismutex::testing does so before main(), and before the
/// constructors of static objects; for nobody else. Thread-safe.
REDISMUTEX_EXPORT void set_connect_in_process(ConnectInProcess connect) noexcept;

}  // namespace REDISMUTEX_ABI

namespace net {

/// Null: redismutex::testing is not linked.
ConnectInProcess connect_in_process() noexcept;

}  // namespace net
}  // namespace redismutex
