#include "shared/url_source.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include "shared/embedded_place.hpp"
#include "shared/shell_word.hpp"

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

/// One a line.
std::vector<std::string> urls_in(std::istream& lines) {
  std::vector<std::string> urls;
  for (std::string line; std::getline(lines, line);) {
    line = trimmed(line);
    if (!line.empty() && line.front() != '#') urls.push_back(line);
  }
  return urls;
}

/// Nothing if there is no such file.
std::optional<NamedUrls> urls_in_file_if_any(const std::string& path) {
  errno = 0;
  std::ifstream file{path};
  if (!file && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  auto urls = urls_in(file);
  // A directory can be opened and not read.
  if (urls.empty() && !file.eof()) throw NoUrl{"cannot read " + path + ": " + std::strerror(errno)};
  if (urls.empty()) throw NoUrl{path + " has no URL"};
  return checked({std::move(urls), path, path});
}

/// What the library says of a malformed URL ends with the syntax of all kinds, for programmers.
std::string explain(const std::string& url, std::string_view what) {
  constexpr std::string_view schemes =
      "redis:// rediss:// valkey:// valkeys:// redis+sentinel:// redis+cluster:// unix:// embedded:";
  if (url.starts_with(embedded_url)) return std::string{embedded_url}.append(" takes nothing behind it");
  const bool has_scheme = url.find("://") != std::string::npos;
  const bool may_be_shown = url.find('@') == std::string::npos;  // else there may be a password
  if (!has_scheme && may_be_shown && !url.empty() && url.front() != '/') {
    return "'" + url + "' is no URL; did you mean redis://" + url + "?";
  }
  return std::string{what.substr(0, what.find("; expected "))}.append("; a URL begins with one of ").append(schemes);
}

ConnectionOptions parse(const std::string& url, const std::string& source) {
  if (url.starts_with("memory:")) {
    throw std::invalid_argument{source +
                                ": memory: is for tests within a program; for this machine alone there is embedded:"};
  }
  try {
    return parse_url(url);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument{source + ": " + explain(url, error.what())};
  }
}

}  // namespace

NamedUrls checked(NamedUrls urls) {
  const auto count = urls.urls.size();
  if (count % 2 == 1) return urls;
  throw NoUrl{urls.source + " names " + std::to_string(count) +
              " servers: it takes one, or for a quorum an odd number from 3 on"};
}

NamedUrls urls_in_file(const std::string& path) {
  if (auto found = urls_in_file_if_any(path)) return *found;
  throw NoUrl{"cannot read " + path + ": " + std::strerror(ENOENT)};
}

NamedUrls default_urls() {
  for (const auto* name : {"REDISMUTEX_URL", "REDIS_URL"}) {
    const auto value = variable(name);
    if (!value) continue;
    std::istringstream lines{*value};
    auto urls = urls_in(lines);
    const auto source = std::string{"$"} + name;
    if (urls.empty()) throw NoUrl{source + " has no URL"};
    return checked({std::move(urls), source});
  }
  if (const auto directory = variable("CREDENTIALS_DIRECTORY")) {
    if (auto found = urls_in_file_if_any(*directory + "/redismutex-url")) return *found;
  }
  if (auto found = urls_in_file_if_any(system_file)) return *found;
  throw NoUrl{
      "no server is named: by --url, --url-file, $REDISMUTEX_URL, $REDIS_URL, $CREDENTIALS_DIRECTORY/redismutex-url "
      "or " +
      std::string{system_file} + "; for this machine alone, try --url embedded:"};
}

std::string words_for(const std::vector<std::string>& urls) {
  std::string words;
  for (const std::string& url : urls) {
    std::string shown = url;
    try {
      shown = display_name(parse_url(url));
    } catch (
        const std::invalid_argument&) {  // NOLINT(bugprone-empty-catch): embedded:, or a mistake, of which others tell
    }
    words += " --url " + shell_word(shown);
  }
  return words;
}

std::vector<ConnectionOptions> connection_options(const NamedUrls& urls) {
  std::vector<ConnectionOptions> all;
  all.reserve(urls.urls.size());
  for (const auto& url : urls.urls) {
    auto& options = all.emplace_back(parse(url, urls.source));
    // The first connection would wait for a thread that reads it, too: so only where there is a login.
    if (urls.file.empty() || (options.username + options.password).empty()) continue;
    options.username.clear();
    options.password.clear();
    const auto number = all.size();
    options.credentials = [file = std::filesystem::absolute(urls.file).string(), source = urls.source, number] {
      const auto there = urls_in_file(file).urls;
      if (there.size() < number) throw NoUrl{source + " names fewer servers than before"};
      const auto present = parse(there[number - 1], source);
      return Credentials{present.username, present.password};
    };
  }
  return all;
}

}  // namespace redismutex::cli
