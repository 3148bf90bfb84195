// In place of tls.cpp in a library that is built with REDISMUTEX_TLS=OFF.
#include "net/tls.hpp"

namespace redismutex::net {
namespace {

class NoTls final : public Tls {
 public:
  std::variant<std::unique_ptr<TlsHandshake>, Failure> begin(Socket /*socket*/, const std::string& /*host*/) override {
    return Failure{Failure::Kind::unusable, "this library was built without TLS"};
  }
};

}  // namespace

bool has_tls() noexcept { return false; }

std::unique_ptr<Tls> make_tls(const TlsOptions& /*options*/) { return std::make_unique<NoTls>(); }

}  // namespace redismutex::net
