#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <string>
#include <variant>

#include "net/connector.hpp"
#include "net/credentials.hpp"
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

/// What all attempts to reach one server have in common. For one thread at a time.
struct Dialler {
  /// The name that the connection is to have, for the administrator's CLIENT LIST.
  using Namer = std::function<std::string(const Greeting& greeting)>;

  Dialler(const ConnectionOptions& used, Namer namer);

  const ConnectionOptions& options;  ///< must outlive it
  const Namer name;
  Resolver resolver;
  const std::unique_ptr<Tls> tls;  ///< null: the server is not spoken to in TLS
  CredentialsSource credentials;
};

/// One attempt to reach a server: look-up, connection, TLS, credentials, login, as steps that never block. Whoever drives it may
/// leave between two of them, and somebody else may go on. For one thread at a time.
class Attempt {
 public:
  /// `dialler` must outlive it. It has connect_timeout from `now` on.
  Attempt(Dialler& dialler, Deadline now);

  /// Does what can be done now. Says what it waits for, or how it ended; then there is no further step. Throws std::system_error
  /// and std::bad_alloc; then it can not go on.
  std::variant<Awaited, LoggedIn, Failure> step(Deadline now);

  /// Until when it may take.
  Deadline limit() const noexcept { return limit_; }

  /// What it waits for, in the words of one who has waited for it in vain.
  Failure unfinished() const;

 private:
  enum class Stage { looking_up, connecting, shaking_hands, asking_credentials, logging_in };

  // Each takes one stage as far as it goes; none: on to the next stage.
  using Stuck = std::optional<std::variant<Awaited, LoggedIn, Failure>>;
  Stuck advance(Deadline now);
  Stuck look_up(Deadline now);
  Stuck connect(Deadline now);
  Stuck begin_handshake(Socket socket);
  Stuck shake_hands();
  Stuck ask_credentials(Deadline now);
  Stuck log_in(Deadline now);
  Stuck read_answers(Deadline now);
  void reached(std::unique_ptr<Stream> stream);
  void write();
  Failure cut_short(const Failure& why) const;
  Failure explained(Failure failure) const;
  LoggedIn finish(Greeting greeting, Deadline now);
  Deadline overdue_at(Deadline now) const { return now + dialler_.options.command_timeout; }

  Dialler& dialler_;
  const Deadline limit_;
  Stage stage_ = Stage::looking_up;
  std::optional<Connector> connector_;
  std::unique_ptr<TlsHandshake> handshake_;
  std::unique_ptr<Stream> stream_;
  bool deaf_ = false;  // the server has closed: what it said before is still to be read
  Credentials credentials_;
  Wire wire_;
  std::optional<Login> login_;
};

}  // namespace redismutex::net
