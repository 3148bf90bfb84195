#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <string>
#include <variant>

#include "net/connector.hpp"
#include "net/credentials.hpp"
#include "net/dialogue.hpp"
#include "net/failure.hpp"
#include "net/greeting.hpp"
#include "net/link.hpp"
#include "net/login.hpp"
#include "net/poll.hpp"
#include "net/resolve.hpp"
#include "net/stream.hpp"
#include "net/tls.hpp"
#include "net/wire.hpp"

namespace redismutex::net {

class Sentinels;
class SentinelSearch;

/// What all attempts to reach a server have in common. For one thread at a time.
class Dialler {
 public:
  /// The name that the connection is to have, for the administrator's CLIENT LIST.
  using Namer = std::function<std::string(const Greeting& greeting)>;

  /// Where the options lead: to a server, or to the one that their sentinels name.
  Dialler(const ConnectionOptions& used, Namer namer);

  /// Elsewhere, by these options.
  struct Way {
    ServerAddress address;
    std::shared_ptr<Tls> tls;  ///< null: it is not spoken to in TLS
    bool to_sentinel = false;
  };
  Dialler(const ConnectionOptions& used, Way way, Namer namer);
  ~Dialler();

  const ConnectionOptions& options;  ///< must outlive it
  const Namer name;
  CredentialsSource credentials;

  const ServerAddress& address() const noexcept { return way_.address; }
  Tls* tls() const noexcept { return way_.tls.get(); }
  bool to_sentinel() const noexcept { return way_.to_sentinel; }
  Resolver& resolver() noexcept { return *resolver_; }

  /// Of the options' kind `sentinel`: those to be asked before each attempt. Null: the address is known.
  Sentinels* sentinels() const noexcept { return sentinels_.get(); }

  /// They have named it.
  void aim(ServerAddress address);

 private:
  Way way_;
  std::optional<Resolver> resolver_;  // of the address
  const std::unique_ptr<Sentinels> sentinels_;
};

/// One attempt to reach a server: the sentinels' word, look-up, connection, TLS, credentials, login, as steps that never block. Whoever drives it may
/// leave between two of them, and somebody else may go on. For one thread at a time.
class Attempt {
 public:
  /// `dialler` must outlive it. It has connect_timeout from `now` on.
  Attempt(Dialler& dialler, Deadline now);
  ~Attempt();

  /// Does what can be done now. Says what it waits for, or how it ended; then there is no further step. Throws std::system_error
  /// and std::bad_alloc; then it can not go on.
  std::variant<Awaited, LoggedIn, Failure> step(Deadline now);

  /// Until when it may take.
  Deadline limit() const noexcept { return limit_; }

  /// What it waits for, in the words of one who has waited for it in vain, for so long: see within(). Without that, until its limit.
  Failure unfinished(const std::string& in_vain) const;
  Failure unfinished() const;

 private:
  enum class Stage { locating, looking_up, connecting, shaking_hands, asking_credentials, logging_in };

  // Each takes one stage as far as it goes; none: on to the next stage.
  using Stuck = std::optional<std::variant<Awaited, LoggedIn, Failure>>;
  Stuck advance(Deadline now);
  Stuck locate(Deadline now);
  Stuck look_up(Deadline now);
  Stuck connect(Deadline now);
  Stuck connect_in_process();
  Stuck begin_handshake(Socket socket);
  Stuck shake_hands();
  Stuck ask_credentials(Deadline now);
  Stuck log_in(Deadline now);
  void reached(std::unique_ptr<Stream> stream);
  Failure cut_short(const Failure& why) const;
  Failure in_full(Failure failure) const;
  Failure explained(Failure failure) const;
  std::variant<Awaited, LoggedIn, Failure> finish(Greeting greeting, Deadline now);
  Deadline overdue_at(Deadline now) const { return now + dialler_.options.command_timeout; }

  Dialler& dialler_;
  const Deadline limit_;
  Stage stage_ = Stage::looking_up;
  std::unique_ptr<SentinelSearch> search_;
  std::optional<Connector> connector_;  // none: the server is in this process
  std::unique_ptr<TlsHandshake> handshake_;
  std::string peer_;  // see LoggedIn
  std::optional<Dialogue> dialogue_;
  Credentials credentials_;
  std::optional<Login> login_;  // over the dialogue
};

}  // namespace redismutex::net
