#include "net/url.hpp"

#include <algorithm>
#include <charconv>
#include <redismutex/connection_options.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace redismutex {
namespace {

constexpr std::string_view forms =
    "; expected redis://[[user]:password@]host[:port][/db], unix:///path[?db=N], "
    "redis+sentinel://[[user]:password@]host[:port],host[:port].../master[/db], "
    "redis+cluster://[[user]:password@]host[:port],host[:port]... or memory:NAME; with rediss, valkey or valkeys as "
    "well "
    "as redis";

constexpr std::uint16_t server_port = 6379;
constexpr std::uint16_t sentinel_port = 26379;

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

/// Of host[:port]. What is left out is left as it is.
void read_address(std::string_view text, std::string& host, std::uint16_t& port) {
  std::string_view digits;
  bool has_port = false;
  if (text.starts_with('[')) {
    const auto [address, rest, closed] = split(text.substr(1), ']');
    if (!closed) malformed("the IPv6 address lacks its closing bracket");
    if (address.empty()) malformed("the brackets hold no IPv6 address");
    if (!rest.empty() && rest.front() != ':') malformed("only a port may follow the IPv6 address");
    host = percent_decode(address, "host");
    has_port = !rest.empty();
    digits = has_port ? rest.substr(1) : rest;
  } else {
    if (std::count(text.begin(), text.end(), ':') > 1) malformed("an IPv6 address must stand in brackets");
    const auto [name, after, found] = split(text, ':');
    if (!name.empty()) host = percent_decode(name, "host");
    digits = after;
    has_port = found;
  }
  if (has_port) port = number<std::uint16_t>(digits, "port", 1, 65535);
}

/// Of host[:port],host[:port]...
void read_nodes(std::string_view text, std::uint16_t usual_port, ConnectionOptions& options) {
  for (bool more = true; more;) {
    const Split parts = split(text, ',');
    ServerAddress node{.host = {}, .port = usual_port};
    read_address(parts.before, node.host, node.port);
    if (node.host.empty()) malformed("a host in the list is empty");
    options.nodes.push_back(std::move(node));
    text = parts.after;
    more = parts.found;
  }
}

/// `text`: what follows the credentials. Who logs in somewhere has left out the host by mistake, such as an empty variable.
void read_server(std::string_view text, bool has_login, ConnectionOptions& options) {
  const auto [address, path, has_path] = split(text, '/');
  if (address.find(',') != std::string_view::npos) {
    malformed("the host contains a comma; several servers go with redis+sentinel:// or redis+cluster://");
  }
  if (has_login && (address.empty() || address.starts_with(':'))) malformed("no host follows the login");
  read_address(address, options.host, options.port);
  if (!path.empty()) options.db = database(path);
}

void read_sentinels(std::string_view text, ConnectionOptions& options) {
  const auto [addresses, path, has_path] = split(text, '/');
  read_nodes(addresses, sentinel_port, options);
  const auto [master, db, has_db] = split(path, '/');
  if (master.empty()) malformed("the name of the master is missing, as in redis+sentinel://host/mymaster");
  options.master = percent_decode(master, "name of the master");
  if (!db.empty()) options.db = database(db);
}

void read_cluster(std::string_view text, ConnectionOptions& options) {
  const auto [addresses, path, has_path] = split(text, '/');
  read_nodes(addresses, server_port, options);
  if (!path.empty()) options.db = database(path);
}

/// Of memory:NAME, what follows the scheme. It has none of the parts of other URLs.
ConnectionOptions read_memory(std::string_view name) {
  if (name.empty()) malformed("memory: lacks the name of a server, as in memory:orders");
  if (name.find_first_of("/?@#") != std::string_view::npos) {
    malformed("the name of a server in memory: contains one of / ? @ #, which must be percent-encoded");
  }
  ConnectionOptions options;
  options.memory = percent_decode(name, "name");
  net::validate(options);
  return options;
}

/// What a scheme says: `redis`, with TLS `rediss`, or the same of Valkey; and behind that what the server belongs to.
struct Scheme {
  ConnectionOptions::Kind kind;
  bool tls;
};

Scheme scheme_of(std::string_view text) {
  using Kind = ConnectionOptions::Kind;
  const auto end = std::min(text.find_first_of("+-"), text.size());
  const std::string_view server = text.substr(0, end);
  const std::string_view beyond = text.substr(end);
  const bool tls = server == "rediss" || server == "valkeys";
  const bool known = tls || server == "redis" || server == "valkey";
  if (known && beyond.empty()) return {Kind::single, tls};
  if (known && beyond.substr(1) == "sentinel") return {Kind::sentinel, tls};
  if (known && beyond.substr(1) == "cluster") return {Kind::cluster, tls};
  malformed("unknown scheme" + shown_scheme(text) + std::string{forms});
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
  } else if (options.kind == ConnectionOptions::Kind::sentinel && name == "sentinel_username") {
    options.sentinel_username = value;
  } else if (options.kind == ConnectionOptions::Kind::sentinel && name == "sentinel_password") {
    options.sentinel_password = value;
  } else {
    malformed(
        "unknown parameter; there are db, with rediss or valkeys ca_file, certificate_file, key_file, server_name and "
        "verify, "
        "and for sentinels sentinel_username and sentinel_password");
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
  constexpr std::string_view memory = "memory:";
  if (url.starts_with(memory)) return read_memory(url.substr(memory.size()));
  const auto scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) malformed("no scheme" + std::string{forms});
  const std::string_view scheme = url.substr(0, scheme_end);
  auto [rest, query, has_query] = split(url.substr(scheme_end + 3), '?');
  if (url.find('#') != std::string_view::npos) malformed("'#' must be written as %23");

  ConnectionOptions options;
  // The path can not contain an unescaped @, a password by habit can: the last one counts.
  const auto at = rest.rfind('@');
  const bool has_login = at != std::string_view::npos;
  if (has_login) {
    read_credentials(rest.substr(0, at), options);
    rest = rest.substr(at + 1);
  }
  if (scheme == "unix") {
    options.unix_socket = percent_decode(rest, "path");
    if (!options.unix_socket.starts_with('/')) malformed("a unix socket needs an absolute path, unix:///path");
  } else {
    const auto [kind, with_tls] = scheme_of(scheme);
    options.kind = kind;
    if (with_tls) options.tls.emplace();
    switch (kind) {
      case ConnectionOptions::Kind::single: read_server(rest, has_login, options); break;
      case ConnectionOptions::Kind::sentinel: read_sentinels(rest, options); break;
      case ConnectionOptions::Kind::cluster: read_cluster(rest, options); break;
    }
  }
  read_query(query, options);
  net::validate(options);
  return options;
}

}  // namespace redismutex
