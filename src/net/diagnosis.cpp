#include "net/diagnosis.hpp"

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace redismutex::net::diagnosis {
namespace {

using Kind = Failure::Kind;

constexpr std::string_view needed = "Redis 6.0 or newer, or Valkey, is needed";
constexpr std::size_t longest_quote = 200;

/// The first word of an error, if it is one that stands for a kind of error, as in "BUSY Redis is busy"; else empty.
std::string_view code_of(std::string_view refusal) {
  const std::string_view word = refusal.substr(0, refusal.find(' '));
  return std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; }) ? word : std::string_view{};
}

/// The server's own words, as far as they may be shown.
std::string quote(std::string_view refusal, Login login) {
  if (login != Login::without_password) {
    const std::string_view code = code_of(refusal);
    return code.empty() ? "an error" : std::string{code};
  }
  std::string text{refusal.substr(0, longest_quote)};
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

std::string message_of(int error) { return std::generic_category().message(error); }

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// Servers say "unknown command", proxies "unsupported command", or that something is not supported. (A version of the
/// protocol that is not supported is another matter.)
bool is_unknown_command(std::string_view refusal) {
  if (refusal.starts_with("NOPROTO")) return false;
  return contains(refusal, "unknown command") || contains(refusal, "unsupported command") ||
         contains(refusal, "not supported");
}

bool is_too_many_clients(std::string_view refusal) { return refusal.starts_with("ERR max number of clients"); }

/// A state of the server's, from which it recovers.
Failure passing(std::string_view code) {
  std::string_view meaning = "the server can not serve at the moment";
  if (code == "BUSY") meaning = "a script has been running on the server for long; SCRIPT KILL ends it";
  if (code == "LOADING") meaning = "the server was just started and reads its data";
  return {Kind::turned_away, std::string{meaning} + " (" + std::string{code} + "): try again"};
}

/// The value of `field` in what INFO says, which is lines of "field:value"; empty if it is not there.
std::string_view value_of(std::string_view info, std::string_view field) {
  while (!info.empty()) {
    std::string_view line = info.substr(0, info.find('\n'));
    info.remove_prefix(std::min(info.size(), line.size() + 1));
    if (!line.starts_with(field) || line.substr(field.size(), 1) != ":") continue;
    line.remove_prefix(field.size() + 1);
    return line.substr(0, line.find('\r'));
  }
  return {};
}

/// HELLO is not known: what INFO says of the server tells why.
Failure of_unknown_hello(std::string_view info) {
  // The others say redis_version as well, for the sake of clients that look for it.
  std::string product;
  std::string_view version;
  for (const auto& [field, name] :
       {std::pair{"redis_version", "Redis "}, {"redict_version", "Redict "}, {"valkey_version", "Valkey "}}) {
    if (value_of(info, field).empty()) continue;
    product = name;
    version = value_of(info, field);
  }
  if (read_version(version) == Greeting::Version{}) {
    return {Kind::unusable, "what answers does not know HELLO: a server that is too old (" + std::string{needed} +
                                "), or a proxy that speaks RESP2 only; connect to the server itself"};
  }
  const std::string server = product + quote(version, Login::without_password);
  if (read_version(version) < Greeting::Version{6, 0, 0}) {
    return {Kind::unusable, "the server is too old (" + server + "): " + std::string{needed}};
  }
  return {Kind::unusable, "the server (" + server +
                              ") does not know HELLO: remove a rename-command for HELLO from its configuration, or "
                              "connect past the proxy that speaks RESP2 only"};
}

}  // namespace

Question question_after(std::string_view hello_refusal, Login login) {
  if (is_unknown_command(hello_refusal)) return Question::version;
  if (login == Login::without_password) return Question::none;
  if (hello_refusal.starts_with("WRONGPASS")) return Question::greeting;
  return hello_refusal.starts_with("NOPERM") ? Question::authentication : Question::none;
}

Failure of_refused_hello(std::string_view refusal, Login login, std::string_view info) {
  if (is_unknown_command(refusal)) return of_unknown_hello(info);
  if (is_too_many_clients(refusal)) {
    return {Kind::turned_away,
            "the server has as many clients as it may (ERR max number of clients reached): close "
            "some, or raise its maxclients"};
  }
  const std::string_view code = code_of(refusal);
  if (code == "NOAUTH" && login == Login::without_password) {
    return {Kind::refused_login, "the server wants a password (NOAUTH): give one in the URL, or in the options"};
  }
  if (code == "NOAUTH") {
    return {Kind::refused_login,
            "the server did not take the password together with HELLO (NOAUTH), as a proxy that "
            "speaks RESP2 only does: connect to the server itself"};
  }
  if (code == "WRONGPASS" && login == Login::with_user_only) {
    return {Kind::refused_login,
            "the server refused the login (WRONGPASS): a user was given without a password; write user:password@ in "
            "the URL, or :password@ for the default user"};
  }
  if (code == "WRONGPASS") {
    return {Kind::refused_login,
            "the server refused the login (WRONGPASS): the password is wrong, or there is no such "
            "user, or the user is off"};
  }
  if (code == "NOPERM") {
    return {Kind::refused_login, "the user may not log in (NOPERM): it needs the right +hello"};
  }
  if (code == "DENIED") {
    return {Kind::unusable,
            "the server is in protected mode (DENIED): it has no password, and answers only clients on "
            "its own machine; set a password there, or protected-mode no if its network is safe"};
  }
  if (code == "NOPROTO") {
    return {Kind::unusable,
            "what answers speaks RESP2 only (NOPROTO), as a proxy may do: connect to the server itself; " +
                std::string{needed}};
  }
  if (!code.empty() && code != "ERR") return passing(code);
  return {Kind::unreachable, "the login was refused: " + quote(refusal, login)};
}

std::optional<Failure> of_greeting(const Greeting& greeting, Expected expected) {
  const bool is_sentinel = greeting.mode == "sentinel";
  if (is_sentinel == (expected == Expected::sentinel)) return std::nullopt;
  if (!is_sentinel) return Failure{Kind::unusable, "this is no sentinel, but a server: connect to it with redis://"};
  return Failure{Kind::unusable,
                 "this is a sentinel, which keeps no locks: connect with redis+sentinel:// and the name of the master, "
                 "as in redis+sentinel://host/mymaster"};
}

Failure of_odd_answer() {
  return {Kind::unusable,
          "not a Redis or Valkey server, or a proxy that speaks RESP2 only: HELLO 3 was answered with "
          "something else than a greeting"};
}

Failure of_refused_select(std::string_view refusal, int db) {
  const std::string cannot = "cannot select database " + std::to_string(db) + ": ";
  const std::string_view code = code_of(refusal);
  if (code == "NOPERM") return {Kind::refused_login, cannot + "the user needs the right +select (NOPERM)"};
  if (code == "NOAUTH") return {Kind::refused_login, cannot + "the server wants a password (NOAUTH)"};
  if (contains(refusal, "out of range") || contains(refusal, "invalid DB index")) {
    return {Kind::unusable, cannot + "there are not so many; `databases` in the server's configuration says how many"};
  }
  if (contains(refusal, "cluster mode")) return {Kind::unusable, cannot + "a cluster has database 0 only"};
  if (is_unknown_command(refusal)) return {Kind::unusable, cannot + "what answers has database 0 only"};
  if (!code.empty() && code != "ERR") {
    Failure failure = passing(code);
    failure.text.insert(0, cannot);
    return failure;
  }
  return {Kind::unusable, cannot + quote(refusal, Login::without_password)};
}

Failure of_broken_login(const Failure& failure, Transport transport) {
  if (failure.kind == Kind::unusable) {
    // A server that speaks TLS answers what it does not understand with an alert, which begins with this byte.
    if (transport == Transport::plain && contains(failure.text, R"(\x15)")) {
      return {Kind::unusable, "the server speaks TLS: connect with rediss:// (" + failure.text + ")"};
    }
    return {Kind::unusable, failure.text + ": are host and port right?"};
  }
  const bool ended = failure.kind == Kind::unreachable &&
                     (contains(failure.text, "closed the connection") || failure.text == message_of(ECONNRESET) ||
                      failure.text == message_of(EPIPE));
  if (!ended) return failure;
  return {Kind::unreachable, failure.text + " before the login was answered; so does " +
                                 (transport == Transport::plain ? "a port for TLS (rediss://), or " : "") +
                                 "a proxy that does not know HELLO"};
}

}  // namespace redismutex::net::diagnosis
