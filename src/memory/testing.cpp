#include <redismutex/testing.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "memory/host.hpp"
#include "memory/process.hpp"
#include "net/in_process.hpp"

namespace redismutex {
namespace {

std::string checked_name(std::string_view name) {
  if (!name.empty() && name.find('\0') == std::string_view::npos) return std::string{name};
  throw std::invalid_argument{"MemoryServer: the name is empty or contains a zero byte"};
}

/// Of a URL: what means something else there is escaped.
std::string percent_encoded(std::string_view text) {
  constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (plain.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return encoded;
}

}  // namespace

MemoryServer::MemoryServer() : MemoryServer{memory::Process::current().unused_name()} {}

MemoryServer::MemoryServer(std::string_view name) : host_{memory::Process::current().host(checked_name(name))} {}

MemoryServer::~MemoryServer() { memory::Process::current().remove(*host_); }

std::string MemoryServer::url() const { return "memory:" + percent_encoded(host_->name()); }

bool MemoryServer::end_lease(std::string_view key) { return host_->end(std::string{key}); }

void MemoryServer::refuse_writes(std::string_view error) {
  if (error.empty() || error.find_first_of("\r\n") != std::string_view::npos) {
    throw std::invalid_argument{"MemoryServer::refuse_writes: the error is empty or has several lines"};
  }
  host_->refuse_writes(std::string{error});
}

void MemoryServer::accept_writes() { host_->refuse_writes({}); }

void MemoryServer::cut_connections() { host_->cut(); }

void MemoryServer::go_away() { host_->go_away(); }

void MemoryServer::come_back() { host_->come_back(); }

void MemoryServer::pause() { host_->stand_still(); }

void MemoryServer::resume() { host_->go_on(); }

void MemoryServer::restart() { host_->restart(); }

}  // namespace redismutex

/// Has `memory:` URLs lead somewhere, before the constructors of static objects, which may have Connections. The target's link options ask
/// for this name, so that it is linked although nobody calls it.
extern "C" [[gnu::constructor(101)]] void redismutex_testing() {
  redismutex::memory::Process::begin();
  redismutex::set_connect_in_process(&redismutex::memory::connect);
}
