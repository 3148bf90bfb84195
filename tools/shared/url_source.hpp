#pragma once

#include <redismutex/connection_options.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace redismutex::cli {

/// URLs, and the name of the place that they come from: one; or those of a quorum's servers, an odd number of at least three.
struct NamedUrls {
  std::vector<std::string> urls;
  std::string source;
  std::string file = {};  // its path, if the place is one
  std::string words =
      {};  // of the command line that has said so, for advice; without passwords; empty: none of them has

  bool are_quorum() const noexcept { return urls.size() > 1; }
};

/// No place names a server, or one can not be read. What it says is one sentence for the user.
struct NoUrl : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Returns them as they are; throws NoUrl for a number of them that is neither that of a server nor of a quorum.
NamedUrls checked(NamedUrls urls);

/// The URLs in a file: one a line, beside empty lines and those that begin with '#'. Throws NoUrl.
NamedUrls urls_in_file(const std::string& path);

/// The URLs for a command line without one. The first of these that there is: $REDISMUTEX_URL, $REDIS_URL (one URL a line),
/// $CREDENTIALS_DIRECTORY/redismutex-url (systemd's LoadCredential=), /etc/redismutex/url. Variables that are empty count
/// as absent. There is no default beyond: a lock on the wrong server looks like a lock. Throws NoUrl.
NamedUrls default_urls();

/// What a command line has to say to name these: " --url redis://db1:6379", without passwords.
std::string words_for(const std::vector<std::string>& urls);

/// How to reach the servers that the URLs name. If they are from a file and have a login, then the login is read from the file again for
/// each connection: a password may be changed while the program runs. Throws std::invalid_argument, which names the source, for
/// a malformed URL.
std::vector<ConnectionOptions> connection_options(const NamedUrls& urls);

}  // namespace redismutex::cli
