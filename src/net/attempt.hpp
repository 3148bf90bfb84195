#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "net/connector.hpp"
#include "net/dial.hpp"
#include "net/failure.hpp"
#include "net/logged_in.hpp"
#include "net/login.hpp"
#include "net/poll.hpp"
#include "net/stream.hpp"
#include "net/tls.hpp"
#include "net/wire.hpp"

namespace redismutex::net {

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
  Deadline overdue_at(Deadline now) const { return now + dialler_.options().command_timeout; }

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
