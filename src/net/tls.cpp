#include "net/tls.hpp"

#include <utility>

#include "net/tls_context.hpp"
#include "net/tls_stream.hpp"

namespace redismutex::net {
namespace {

class OpenSslTls final : public Tls {
 public:
  explicit OpenSslTls(const TlsOptions& options) : context_{options} {}

  std::variant<std::unique_ptr<TlsHandshake>, Failure> begin(Socket socket, const std::string& host) override {
    return TlsStream::begin(std::move(socket), context_, host);
  }

 private:
  TlsContext context_;
};

}  // namespace

bool has_tls() noexcept { return true; }

std::unique_ptr<Tls> make_tls(const TlsOptions& options) { return std::make_unique<OpenSslTls>(options); }

}  // namespace redismutex::net
