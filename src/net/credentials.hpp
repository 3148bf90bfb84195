#pragma once

#include <functional>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <variant>

#include "net/background_call.hpp"
#include "net/failure.hpp"
#include "net/poll.hpp"

namespace redismutex::net {

/// What to log in with: the options' username and password, or what their `credentials` returns, asked anew each time. For one
/// thread at a time.
class CredentialsSource {
 public:
  explicit CredentialsSource(const ConnectionOptions& options);

  /// What `credentials` throws is a `refused_login`. Throws std::system_error if there is no thread or descriptor to ask it.
  std::variant<Awaited, Credentials, Failure> step(Deadline now);

  /// For people who are told of a refusal: where the refused ones came from, if that was not the options' username and password.
  Failure explained(Failure refusal, const Credentials& refused) const;

 private:
  using Asked = std::variant<Credentials, Failure>;
  static Asked ask(const std::function<Credentials()>& credentials) noexcept;

  const Credentials fixed_;
  std::optional<BackgroundCall<Asked>> call_;
};

}  // namespace redismutex::net
