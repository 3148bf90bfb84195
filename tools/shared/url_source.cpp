#include "shared/url_source.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

namespace redismutex::cli {
namespace {

constexpr auto system_file = "/etc/redismutex/url";

std::string trimmed(const std::string& line) {
  constexpr auto blanks = " \t\r";
  const auto begin = line.find_first_not_of(blanks);
  if (begin == std::string::npos) return {};
  return line.substr(begin, line.find_last_not_of(blanks) - begin + 1);
}

std::optional<std::string> variable(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

/// Nothing if there is no such file.
std::optional<NamedUrl> url_in_file_if_any(const std::string& path) {
  errno = 0;
  std::ifstream file{path};
  if (!file && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  std::string url;
  for (std::string line; std::getline(file, line);) {
    line = trimmed(line);
    if (line.empty() || line.front() == '#') continue;
    if (!url.empty()) throw NoUrl{path + " has more than one URL"};
    url = line;
  }
  // A directory can be opened and not read.
  if (url.empty() && !file.eof()) throw NoUrl{"cannot read " + path + ": " + std::strerror(errno)};
  if (url.empty()) throw NoUrl{path + " has no URL"};
  return NamedUrl{url, path, path};
}

}  // namespace

NamedUrl url_in_file(const std::string& path) {
  if (auto found = url_in_file_if_any(path)) return *found;
  throw NoUrl{"cannot read " + path + ": " + std::strerror(ENOENT)};
}

NamedUrl default_url() {
  for (const auto* name : {"REDISMUTEX_URL", "REDIS_URL"}) {
    if (const auto url = variable(name)) return {*url, std::string{"$"} + name};
  }
  if (const auto directory = variable("CREDENTIALS_DIRECTORY")) {
    if (auto found = url_in_file_if_any(*directory + "/redismutex-url")) return *found;
  }
  if (auto found = url_in_file_if_any(system_file)) return *found;
  throw NoUrl{
      "no server is named: by --url, --url-file, $REDISMUTEX_URL, $REDIS_URL, $CREDENTIALS_DIRECTORY/redismutex-url "
      "or " +
      std::string{system_file} + "; for this machine alone, try --url embedded:"};
}

ConnectionOptions connection_options(const NamedUrl& url) {
  const auto parse = [](const NamedUrl& named) {
    try {
      return parse_url(named.url);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument{named.source + ": " + error.what()};
    }
  };
  auto options = parse(url);
  // The first connection would wait for a thread that reads it, too: so only where there is a login.
  if (!url.file.empty() && !(options.username + options.password).empty()) {
    options.username.clear();
    options.password.clear();
    options.credentials = [file = std::filesystem::absolute(url.file).string(), parse] {
      const auto present = parse(url_in_file(file));
      return Credentials{present.username, present.password};
    };
  }
  return options;
}

}  // namespace redismutex::cli
