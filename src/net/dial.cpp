#include "net/dial.hpp"

#include <utility>

namespace redismutex::net {
namespace {

std::unique_ptr<Tls> tls_of(const ConnectionOptions& options) {
  return options.tls && options.unix_socket.empty() ? make_tls(*options.tls) : nullptr;
}

}  // namespace

Dialler::Dialler(const ConnectionOptions& options, Namer name)
    : options_{options}, name_{std::move(name)}, resolver_{options.host, options.port}, tls_{tls_of(options)} {}

}  // namespace redismutex::net
