#include "net/url.hpp"

#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <redismutex/connection_options.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "net/tls.hpp"

namespace redismutex {
namespace {

constexpr std::string_view forms =
    "; expected redis://[[user]:password@]host[:port][/db], the same with rediss://, valkey:// or valkeys://, "
    "or unix:///path[?db=N]";

/// `what` never repeats text of the URL: in a malformed one the password may stand anywhere.
[[noreturn]] void malformed(const std::string& what) { throw std::invalid_argument{"malformed URL: " + what}; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decode(std::string_view text, std::string_view part) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) malformed("'%' in the " + std::string{part} + " is not followed by two hex digits");
    const int byte = high * 16 + low;
    if (byte == 0) malformed("the " + std::string{part} + " contains a zero byte");
    decoded.push_back(static_cast<char>(byte));
    i += 2;
  }
  return decoded;
}

/// A scheme, if it can be nothing else: of a URL whose parts are mixed up it might be a password.
std::string shown_scheme(std::string_view scheme) {
  constexpr std::size_t longest = 12;
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  if (scheme.empty() || scheme.size() > longest || !std::all_of(scheme.begin(), scheme.end(), is_letter)) return {};
  return " '" + std::string{scheme} + "'";
}

/// Splits at the first `separator`; the second part is empty, and the flag false, when there is none.
struct Split {
  std::string_view before, after;
  bool found = false;
};

Split split(std::string_view text, char separator) {
  const auto at = text.find(separator);
  if (at == std::string_view::npos) return {text, {}, false};
  return {text.substr(0, at), text.substr(at + 1), true};
}

template <class Number>
Number number(std::string_view text, std::string_view part, Number lowest, Number highest) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < lowest || value > highest) {
    malformed("the " + std::string{part} + " is not a number from " + std::to_string(lowest) + " to " +
              std::to_string(highest));
  }
  return value;
}

int database(std::string_view text) { return number<int>(text, "database", 0, 1'000'000); }

void read_credentials(std::string_view text, ConnectionOptions& options) {
  const Split parts = split(text, ':');
  options.username = percent_decode(parts.before, "user");
  options.password = percent_decode(parts.after, "password");
}

void read_address(std::string_view text, ConnectionOptions& options) {
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const auto [address, rest, closed] = split(text.substr(1), ']');
    if (!closed) malformed("the IPv6 address lacks its closing bracket");
    if (address.empty()) malformed("the brackets hold no IPv6 address");
    if (!rest.empty() && rest.front() != ':') malformed("only a port may follow the IPv6 address");
    options.host = percent_decode(address, "host");
    has_port = !rest.empty();
    port = has_port ? rest.substr(1) : rest;
  } else {
    if (std::count(text.begin(), text.end(), ':') > 1) malformed("an IPv6 address must stand in brackets");
    const auto [host, digits, found] = split(text, ':');
    if (!host.empty()) options.host = percent_decode(host, "host");
    port = digits;
    has_port = found;
  }
  if (has_port) options.port = number<std::uint16_t>(port, "port", 1, 65535);
}

void read_parameter(std::string_view name, const std::string& value, ConnectionOptions& options) {
  if (name == "db") {
    options.db = database(value);
  } else if (options.tls && name == "ca_file") {
    options.tls->ca_file = value;
  } else if (options.tls && name == "certificate_file") {
    options.tls->certificate_file = value;
  } else if (options.tls && name == "key_file") {
    options.tls->key_file = value;
  } else if (options.tls && name == "server_name") {
    options.tls->server_name = value;
  } else if (options.tls && name == "verify") {
    if (value != "yes" && value != "no") malformed("the parameter verify must be yes or no");
    options.tls->verify = value == "yes";
  } else {
    malformed(
        "unknown parameter; there are db and, with rediss or valkeys, ca_file, certificate_file, key_file, "
        "server_name, "
        "verify");
  }
}

void read_query(std::string_view query, ConnectionOptions& options) {
  while (!query.empty()) {
    const auto [parameter, rest, more] = split(query, '&');
    const auto [name, value, has_value] = split(parameter, '=');
    if (!has_value) malformed("a parameter has no value");
    read_parameter(name, percent_decode(value, "parameter"), options);
    query = rest;
  }
}

}  // namespace

ConnectionOptions REDISMUTEX_ABI::parse_url(std::string_view url) {
  const auto scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) malformed("no scheme" + std::string{forms});
  const std::string_view scheme = url.substr(0, scheme_end);
  auto [rest, query, has_query] = split(url.substr(scheme_end + 3), '?');
  if (url.find('#') != std::string_view::npos) malformed("'#' must be written as %23");

  ConnectionOptions options;
  const bool with_tls = scheme == "rediss" || scheme == "valkeys";
  if (with_tls) options.tls.emplace();

  // The path can not contain an unescaped @, a password by habit can: the last one counts.
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    read_credentials(rest.substr(0, at), options);
    rest = rest.substr(at + 1);
  }
  if (scheme == "unix") {
    options.unix_socket = percent_decode(rest, "path");
    if (!options.unix_socket.starts_with('/')) malformed("a unix socket needs an absolute path, unix:///path");
  } else if (with_tls || scheme == "redis" || scheme == "valkey") {
    const auto [address, path, has_path] = split(rest, '/');
    read_address(address, options);
    if (!path.empty()) options.db = database(path);
  } else {
    malformed("unknown scheme" + shown_scheme(scheme) + std::string{forms});
  }
  read_query(query, options);
  net::validate(options);
  return options;
}

namespace net {
namespace {

[[noreturn]] void unusable(const std::string& what) { throw std::invalid_argument{"ConnectionOptions::" + what}; }

void check_timeout(std::string_view field, std::chrono::milliseconds timeout) {
  constexpr std::chrono::milliseconds longest = std::chrono::hours{1};
  if (timeout.count() <= 0 || timeout > longest) {
    unusable(std::string{field} + " is " + std::to_string(timeout.count()) + " ms, must be from 1 to " +
             std::to_string(longest.count()) + " ms");
  }
}

}  // namespace

void validate(const ConnectionOptions& options) {
  const auto has_zero = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  if (options.unix_socket.empty()) {
    if (options.host.empty() || has_zero(options.host)) unusable("host is empty or contains a zero byte");
    if (options.port == 0) unusable("port is 0, must be from 1 to 65535");
  } else if (options.unix_socket.size() >= sizeof(sockaddr_un::sun_path) || has_zero(options.unix_socket)) {
    unusable("unix_socket has " + std::to_string(options.unix_socket.size()) + " bytes, at most " +
             std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " are possible, none of them zero");
  }
  if (options.credentials && !(options.username.empty() && options.password.empty())) {
    unusable("credentials stands in place of username and password, which must be empty");
  }
  if (options.db < 0) unusable("db is " + std::to_string(options.db) + ", must not be negative");
  if (options.tls && options.unix_socket.empty() && !has_tls()) {
    unusable(
        "tls: this library was built without TLS (REDISMUTEX_TLS=OFF), so rediss:// and valkeys:// can not be used");
  }
  if (options.tls && options.tls->certificate_file.empty() != options.tls->key_file.empty()) {
    unusable("tls: certificate_file and key_file belong together");
  }
  check_timeout("connect_timeout", options.connect_timeout);
  check_timeout("command_timeout", options.command_timeout);
  const auto printable = [](char c) { return c > ' ' && c <= '~'; };
  if (!std::all_of(options.client_name.begin(), options.client_name.end(), printable)) {
    unusable("client_name may have printable ASCII only, and no spaces");
  }
}

std::string display_name(const ConnectionOptions& options) {
  const std::string db = std::to_string(options.db);
  if (!options.unix_socket.empty()) return "unix://" + options.unix_socket + (options.db == 0 ? "" : "?db=" + db);
  const bool ipv6 = options.host.find(':') != std::string::npos;
  return std::string{options.tls ? "rediss://" : "redis://"} + (ipv6 ? "[" + options.host + "]" : options.host) + ":" +
         std::to_string(options.port) + (options.db == 0 ? "" : "/" + db);
}

}  // namespace net
}  // namespace redismutex
