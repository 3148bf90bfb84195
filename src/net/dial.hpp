#pragma once

#include <functional>
#include <memory>
#include <redismutex/connection_options.hpp>
#include <string>

#include "net/greeting.hpp"
#include "net/resolve.hpp"
#include "net/tls.hpp"

namespace redismutex::net {

/// What all attempts to reach one server have in common: see Attempt. For one thread at a time.
class Dialler {
 public:
  /// The name that the connection is to have, for the administrator's CLIENT LIST.
  using Namer = std::function<std::string(const Greeting& greeting)>;

  /// `options` must outlive this object.
  Dialler(const ConnectionOptions& options, Namer name);

  const ConnectionOptions& options() const noexcept { return options_; }
  Resolver& resolver() noexcept { return resolver_; }
  Tls* tls() noexcept { return tls_.get(); }  ///< null: the server is not spoken to in TLS
  std::string name(const Greeting& greeting) const { return name_(greeting); }

 private:
  const ConnectionOptions& options_;
  const Namer name_;
  Resolver resolver_;
  const std::unique_ptr<Tls> tls_;
};

}  // namespace redismutex::net
