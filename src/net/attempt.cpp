#include "net/attempt.hpp"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "net/in_process.hpp"
#include "net/plain_stream.hpp"
#include "net/sentinels.hpp"
#include "net/url.hpp"
#include "net/within.hpp"

namespace redismutex::net {
namespace {

std::shared_ptr<Tls> tls_of(const ConnectionOptions& options) {
  return options.tls && options.unix_socket.empty() ? make_tls(*options.tls) : nullptr;
}

}  // namespace

Dialler::Dialler(const ConnectionOptions& used, Namer namer)
    : options{used},
      name{std::move(namer)},
      credentials{used},
      way_{.address = {used.host, used.port}, .tls = tls_of(used)},
      sentinels_{used.kind == ConnectionOptions::Kind::sentinel ? std::make_unique<Sentinels>(used) : nullptr} {
  resolver_.emplace(way_.address.host, way_.address.port);
}

Dialler::Dialler(const ConnectionOptions& used, Way way, Namer namer)
    : options{used}, name{std::move(namer)}, credentials{used}, way_{std::move(way)} {
  resolver_.emplace(way_.address.host, way_.address.port);
}

Dialler::~Dialler() = default;

void Dialler::aim(ServerAddress address) {
  if (way_.address == address) return;
  way_.address = std::move(address);
  resolver_.emplace(way_.address.host, way_.address.port);
}

Attempt::Attempt(Dialler& dialler, Deadline now) : dialler_{dialler}, limit_{now + dialler.options.connect_timeout} {
  const std::string& unix_socket = dialler.options.unix_socket;
  if (dialler.sentinels() != nullptr) {
    search_ = dialler.sentinels()->ask_all(now);
    stage_ = Stage::locating;
  } else if (!unix_socket.empty()) {
    connector_.emplace(unix_socket, limit_);
    stage_ = Stage::connecting;
  } else if (!dialler.options.memory.empty()) {
    stage_ = Stage::connecting;
  }
}

Attempt::~Attempt() = default;

std::variant<Awaited, LoggedIn, Failure> Attempt::step(Deadline now) {
  Stuck stuck;
  while (!stuck) stuck = advance(now);
  if (auto* failure = std::get_if<Failure>(&*stuck)) return in_full(std::move(*failure));
  if (auto* awaited = std::get_if<Awaited>(&*stuck)) {
    if (now >= limit_) return in_full(cut_short(unfinished()));
    awaited->until = std::min(awaited->until, limit_);
  }
  return std::move(*stuck);
}

/// Where sentinels have named the server, people are to know which one it is.
Failure Attempt::in_full(Failure failure) const {
  if (dialler_.sentinels() == nullptr || stage_ == Stage::locating) return failure;
  failure.text.insert(0, "the master is " + display_name(dialler_.address()) + " by its sentinels: ");
  return failure;
}

Failure Attempt::unfinished() const { return unfinished(within(dialler_.options.connect_timeout, "connect_timeout")); }

Failure Attempt::unfinished(const std::string& in_vain) const {
  const std::string& host = dialler_.address().host;
  const auto vain = [](std::string text) { return Failure{Failure::Kind::timed_out, std::move(text)}; };
  switch (stage_) {
    case Stage::locating: return vain("no answer from a sentinel" + in_vain);
    case Stage::looking_up: return vain("no answer while looking up '" + host + "'" + in_vain);
    case Stage::connecting: return vain("no answer while connecting" + in_vain);
    case Stage::shaking_hands:
      return vain("TLS handshake with " + host + ": no answer" + in_vain + "; does this port speak TLS?");
    case Stage::asking_credentials: return vain("ConnectionOptions::credentials has not returned" + in_vain);
    case Stage::logging_in: break;
  }
  return vain("no answer to the login" + in_vain);
}

/// It ends for this reason.
Failure Attempt::cut_short(const Failure& why) const { return login_ ? explained(login_->cut_short(why)) : why; }

Failure Attempt::explained(Failure failure) const {
  return dialler_.credentials.explained(std::move(failure), credentials_);
}

Attempt::Stuck Attempt::advance(Deadline now) {
  switch (stage_) {
    case Stage::locating: return locate(now);
    case Stage::looking_up: return look_up(now);
    case Stage::connecting: return connect(now);
    case Stage::shaking_hands: return shake_hands();
    case Stage::asking_credentials: return ask_credentials(now);
    case Stage::logging_in: break;
  }
  return log_in(now);
}

Attempt::Stuck Attempt::locate(Deadline now) {
  auto located = search_->step(now);
  if (auto* awaited = std::get_if<Awaited>(&located)) return *awaited;
  if (auto* failure = std::get_if<Failure>(&located)) return std::move(*failure);
  search_.reset();
  dialler_.aim(std::move(std::get<ServerAddress>(located)));
  stage_ = Stage::looking_up;
  return std::nullopt;
}

Attempt::Stuck Attempt::look_up(Deadline now) {
  auto looked_up = dialler_.resolver().step(now);
  if (auto* awaited = std::get_if<Awaited>(&looked_up)) return *awaited;
  if (auto* failure = std::get_if<Failure>(&looked_up)) return std::move(*failure);
  connector_.emplace(std::move(std::get<Addresses>(looked_up)), dialler_.address().host, limit_);
  stage_ = Stage::connecting;
  return std::nullopt;
}

Attempt::Stuck Attempt::connect(Deadline now) {
  if (!connector_) return connect_in_process();
  auto connected = connector_->step(now);
  if (auto* awaited = std::get_if<Awaited>(&connected)) return *awaited;
  if (auto* failure = std::get_if<Failure>(&connected)) {
    // The last of its addresses has as long as the attempt.
    return failure->kind == Failure::Kind::timed_out ? unfinished() : std::move(*failure);
  }
  auto& socket = std::get<Socket>(connected);
  peer_ = peer_of(socket);
  if (dialler_.tls() != nullptr) return begin_handshake(std::move(socket));
  reached(std::make_unique<PlainStream>(std::move(socket)));
  return std::nullopt;
}

Attempt::Stuck Attempt::connect_in_process() {
  auto connected = net::connect_in_process()(dialler_.options.memory);
  if (auto* failure = std::get_if<Failure>(&connected)) return std::move(*failure);
  peer_ = display_name(dialler_.options);
  reached(std::move(std::get<std::unique_ptr<Stream>>(connected)));
  return std::nullopt;
}

Attempt::Stuck Attempt::begin_handshake(Socket socket) {
  auto begun = dialler_.tls()->begin(std::move(socket), dialler_.address().host);
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
  dialogue_.emplace(std::move(stream));
  stage_ = Stage::asking_credentials;
}

/// Not before the server is reached, so that they are asked for once a connection, and never for nothing.
Attempt::Stuck Attempt::ask_credentials(Deadline now) {
  auto asked = dialler_.credentials.step(now);
  if (auto* awaited = std::get_if<Awaited>(&asked)) return *awaited;
  if (auto* failure = std::get_if<Failure>(&asked)) return std::move(*failure);
  credentials_ = std::move(std::get<Credentials>(asked));
  login_.emplace(
      dialogue_->wire(),
      Login::Settings{.username = credentials_.username,
                      .password = credentials_.password,
                      .db = dialler_.options.db,
                      .transport = dialler_.tls() != nullptr ? diagnosis::Transport::tls : diagnosis::Transport::plain,
                      .to_sentinel = dialler_.to_sentinel()});
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
    auto stuck = dialogue_->exchange(now, dialler_.options.command_timeout);
    if (!stuck) continue;
    if (const auto* failure = std::get_if<Failure>(&*stuck)) return cut_short(*failure);
    return std::get<Awaited>(*stuck);
  }
  return dialogue_->again(now);
}

std::variant<Awaited, LoggedIn, Failure> Attempt::finish(Greeting greeting, Deadline now) {
  // Where a failover is under way sentinels may name one that is not the master yet, or any more.
  if (dialler_.sentinels() != nullptr && greeting.role != "master") {
    return Failure{Failure::Kind::turned_away, "it says that it is a " + greeting.role};
  }
  tell_names(dialogue_->wire(), greeting, dialler_.name(greeting), overdue_at(now));
  dialogue_->write();
  auto [stream, wire] = std::move(*dialogue_).leave();
  return LoggedIn{std::move(stream), std::move(wire), std::move(greeting), dialler_.address(), std::move(peer_)};
}

}  // namespace redismutex::net
