#include "net/in_process.hpp"

#include <atomic>

namespace redismutex {
namespace {

constinit std::atomic<ConnectInProcess> known{nullptr};

}  // namespace

void REDISMUTEX_ABI::set_connect_in_process(ConnectInProcess connect) noexcept { known.store(connect); }

ConnectInProcess net::connect_in_process() noexcept { return known.load(); }

}  // namespace redismutex
