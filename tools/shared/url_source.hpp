#pragma once

#include <redismutex/connection_options.hpp>
#include <stdexcept>
#include <string>

namespace redismutex::cli {

/// A URL and the name of the place that it comes from.
struct NamedUrl {
  std::string url;
  std::string source;
  std::string file = {};  // its path, if the place is one
};

/// No place names a server, or one can not be read. What it says is one sentence for the user.
struct NoUrl : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The URL in a file: one line, beside empty ones and those that begin with '#'. Throws NoUrl.
NamedUrl url_in_file(const std::string& path);

/// The URL for a command line without one. The first of these that there is: $REDISMUTEX_URL, $REDIS_URL,
/// $CREDENTIALS_DIRECTORY/redismutex-url (systemd's LoadCredential=), /etc/redismutex/url. Variables that are empty count
/// as absent. There is no default beyond: a lock on the wrong server looks like a lock. Throws NoUrl.
NamedUrl default_url();

/// How to reach the server that a URL names. If it is from a file and has a login, then the login is read from the file again for
/// each connection: a password may be changed while the program runs. Throws std::invalid_argument, which names the source, for
/// a malformed URL.
ConnectionOptions connection_options(const NamedUrl& url);

}  // namespace redismutex::cli
