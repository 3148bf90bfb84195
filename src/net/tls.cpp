#include "net/tls.hpp"

#include <utility>

#include "net/tls_context.hpp"
#include "net/tls_stream.hpp"

namespace redismutex::net {

bool has_tls() noexcept { return true; }

std::unique_ptr<Tls> make_tls(const TlsOptions& options) { return std::make_unique<TlsContext>(options); }

std::variant<std::unique_ptr<TlsHandshake>, Failure> TlsContext::begin(Socket socket, const std::string& host) {
  return TlsStream::begin(std::move(socket), *this, host);
}

}  // namespace redismutex::net
