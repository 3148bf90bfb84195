#include "net/attempt.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "net/plain_stream.hpp"

namespace redismutex::net {
namespace {

std::unique_ptr<Tls> tls_of(const ConnectionOptions& options) {
  return options.tls && options.unix_socket.empty() ? make_tls(*options.tls) : nullptr;
}

}  // namespace

Dialler::Dialler(const ConnectionOptions& used, Namer namer)
    : options{used}, name{std::move(namer)}, resolver{used.host, used.port}, tls{tls_of(used)}, credentials{used} {}

Attempt::Attempt(Dialler& dialler, Deadline now) : dialler_{dialler}, limit_{now + dialler.options.connect_timeout} {
  const std::string& unix_socket = dialler.options.unix_socket;
  if (unix_socket.empty()) return;
  connector_.emplace(unix_socket, limit_);
  stage_ = Stage::connecting;
}

std::variant<Awaited, LoggedIn, Failure> Attempt::step(Deadline now) {
  Stuck stuck;
  while (!stuck) stuck = advance(now);
  if (auto* awaited = std::get_if<Awaited>(&*stuck)) {
    if (now >= limit_) return cut_short(unfinished());
    awaited->until = std::min(awaited->until, limit_);
  }
  return std::move(*stuck);
}

Failure Attempt::unfinished() const {
  const std::string& host = dialler_.options.host;
  const auto vain = [](std::string text) { return Failure{Failure::Kind::timed_out, std::move(text)}; };
  switch (stage_) {
    case Stage::looking_up: return vain("no answer while looking up '" + host + "'");
    case Stage::connecting: return vain("no answer while connecting");
    case Stage::shaking_hands: return vain("TLS handshake with " + host + ": no answer");
    case Stage::asking_credentials: return vain("ConnectionOptions::credentials has not returned");
    case Stage::logging_in: break;
  }
  return vain("no answer to the login");
}

/// It ends for this reason.
Failure Attempt::cut_short(const Failure& why) const { return login_ ? explained(login_->cut_short(why)) : why; }

Failure Attempt::explained(Failure failure) const {
  return dialler_.credentials.explained(std::move(failure), credentials_);
}

Attempt::Stuck Attempt::advance(Deadline now) {
  switch (stage_) {
    case Stage::looking_up: return look_up(now);
    case Stage::connecting: return connect(now);
    case Stage::shaking_hands: return shake_hands();
    case Stage::asking_credentials: return ask_credentials(now);
    case Stage::logging_in: break;
  }
  return log_in(now);
}

Attempt::Stuck Attempt::look_up(Deadline now) {
  auto looked_up = dialler_.resolver.step(now);
  if (auto* awaited = std::get_if<Awaited>(&looked_up)) return *awaited;
  if (auto* failure = std::get_if<Failure>(&looked_up)) return std::move(*failure);
  connector_.emplace(std::move(std::get<Addresses>(looked_up)), dialler_.options.host, limit_);
  stage_ = Stage::connecting;
  return std::nullopt;
}

Attempt::Stuck Attempt::connect(Deadline now) {
  auto connected = connector_->step(now);
  if (auto* awaited = std::get_if<Awaited>(&connected)) return *awaited;
  if (auto* failure = std::get_if<Failure>(&connected)) return std::move(*failure);
  auto& socket = std::get<Socket>(connected);
  if (dialler_.tls != nullptr) return begin_handshake(std::move(socket));
  reached(std::make_unique<PlainStream>(std::move(socket)));
  return std::nullopt;
}

Attempt::Stuck Attempt::begin_handshake(Socket socket) {
  const ConnectionOptions& options = dialler_.options;
  auto begun = dialler_.tls->begin(std::move(socket), options.host);
  if (auto* failure = std::get_if<Failure>(&begun)) return std::move(*failure);
  handshake_ = std::move(std::get<std::unique_ptr<TlsHandshake>>(begun));
  stage_ = Stage::shaking_hands;
  return std::nullopt;
}

Attempt::Stuck Attempt::shake_hands() {
  auto shaken = handshake_->step();
  if (auto* awaited = std::get_if<Awaited>(&shaken)) return *awaited;
  if (auto* failure = std::get_if<Failure>(&shaken)) return std::move(*failure);
  reached(std::move(std::get<std::unique_ptr<Stream>>(shaken)));
  return std::nullopt;
}

void Attempt::reached(std::unique_ptr<Stream> stream) {
  stream_ = std::move(stream);
  stage_ = Stage::asking_credentials;
}

/// Not before the server is reached, so that they are asked for once a connection, and never for nothing.
Attempt::Stuck Attempt::ask_credentials(Deadline now) {
  auto asked = dialler_.credentials.step(now);
  if (auto* awaited = std::get_if<Awaited>(&asked)) return *awaited;
  if (auto* failure = std::get_if<Failure>(&asked)) return std::move(*failure);
  credentials_ = std::move(std::get<Credentials>(asked));
  login_.emplace(wire_, Login::Settings{.username = credentials_.username,
                                        .password = credentials_.password,
                                        .db = dialler_.options.db,
                                        .transport = dialler_.tls != nullptr ? diagnosis::Transport::tls
                                                                             : diagnosis::Transport::plain});
  stage_ = Stage::logging_in;
  return std::nullopt;
}

Attempt::Stuck Attempt::log_in(Deadline now) {
  // A server that talks without end must not keep the caller from its time limit.
  constexpr int most_reads = 16;
  for (int reads = 0; reads < most_reads; ++reads) {
    if (auto outcome = login_->step(overdue_at(now))) {
      if (auto* failure = std::get_if<Failure>(&*outcome)) return explained(std::move(*failure));
      return finish(std::move(std::get<Greeting>(*outcome)), now);
    }
    write();
    if (auto stuck = read_answers(now)) return stuck;
  }
  return Awaited{.fd = stream_->fd(), .events = POLLIN, .until = now};
}

/// None if something has come.
Attempt::Stuck Attempt::read_answers(Deadline now) {
  std::array<char, 16 * 1024> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the read
  Stream::Transfer read = stream_->read_now(buffer);
  switch (read.status) {
    case Stream::Status::ok: break;
    case Stream::Status::closed: return cut_short({Failure::Kind::unreachable, std::move(read.why)});
    case Stream::Status::refused: return cut_short({Failure::Kind::unusable, std::move(read.why)});
    case Stream::Status::would_block: {
      if (now >= wire_.next_deadline()) {
        const auto timeout = dialler_.options.command_timeout.count();
        return cut_short(
            {Failure::Kind::unreachable, "no answer within the command timeout of " + std::to_string(timeout) + " ms"});
      }
      const bool unsent = wire_.unsent() > 0 && !deaf_;
      const auto events = static_cast<short>(unsent ? POLLIN | POLLOUT : POLLIN);
      return Awaited{.fd = stream_->fd(), .events = events, .until = wire_.next_deadline()};
    }
  }
  Calls over;                 // the login looks at its calls itself
  std::vector<Reply> pushes;  // of nothing that anybody has asked for yet
  wire_.received({buffer.data(), read.bytes}, over, pushes);
  if (wire_.problem().empty()) return std::nullopt;
  return cut_short({Failure::Kind::unusable, std::string{wire_.problem()}});
}

/// What the server takes.
void Attempt::write() {
  while (!deaf_) {
    const std::string_view bytes = wire_.outgoing();
    if (bytes.empty()) return;
    const Stream::Transfer written = stream_->write_now(bytes);
    wire_.sent(written.bytes);
    if (written.status == Stream::Status::would_block) return;
    deaf_ = written.status != Stream::Status::ok;
  }
}

LoggedIn Attempt::finish(Greeting greeting, Deadline now) {
  tell_names(wire_, greeting, dialler_.name(greeting), overdue_at(now));
  write();
  return {std::move(stream_), std::move(wire_), std::move(greeting)};
}

}  // namespace redismutex::net
