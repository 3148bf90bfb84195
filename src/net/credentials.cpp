#include "net/credentials.hpp"

#include <exception>
#include <new>
#include <string>
#include <utility>

namespace redismutex::net {
namespace {

Failure thrown(const char* what) {
  return {Failure::Kind::refused_login, std::string{"ConnectionOptions::credentials: "} + what};
}

}  // namespace

CredentialsSource::CredentialsSource(const ConnectionOptions& options) : fixed_{options.username, options.password} {
  if (options.credentials) call_.emplace([credentials = options.credentials] { return ask(credentials); });
}

CredentialsSource::Asked CredentialsSource::ask(const std::function<Credentials()>& credentials) noexcept {
  try {
    try {
      return credentials();
    } catch (const std::exception& error) {
      return thrown(error.what());
    } catch (...) {
      return thrown("unknown exception");
    }
  } catch (const std::bad_alloc&) {
    return Failure{Failure::Kind::exhausted, "out of memory"};
  }
}

std::variant<Awaited, Credentials, Failure> CredentialsSource::step(Deadline now) {
  if (!call_) return fixed_;
  auto step = call_->step(now);
  if (const auto* awaited = std::get_if<Awaited>(&step)) return *awaited;
  auto& asked = std::get<Asked>(step);
  if (auto* failure = std::get_if<Failure>(&asked)) return std::move(*failure);
  return std::move(std::get<Credentials>(asked));
}

Failure CredentialsSource::explained(Failure refusal, const Credentials& refused) const {
  if (!call_ || refusal.kind != Failure::Kind::refused_login) return refusal;
  const bool none = refused.username.empty() && refused.password.empty();
  refusal.text += none ? "; ConnectionOptions::credentials returned neither user nor password"
                       : "; user and password are those that ConnectionOptions::credentials returned";
  return refusal;
}

}  // namespace redismutex::net
