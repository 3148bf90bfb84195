#pragma once

#include <map>
#include <redismutex/connection.hpp>
#include <string>

namespace redismutex::cli {

/// What a server says about itself.
struct ServerFacts {
  struct Version {
    int major = 0;
    int minor = 0;
    std::string text{};
  };

  std::map<std::string, std::string> fields{};    ///< of INFO
  std::map<std::string, std::string> settings{};  ///< of CONFIG GET
  bool may_ask = false;                           ///< INFO was allowed
  bool may_configure = false;                     ///< CONFIG GET was allowed

  /// Empty, or `otherwise`, where the server does not tell.
  std::string info(const std::string& field) const;
  std::string config(const std::string& setting, const std::string& otherwise = {}) const;

  /// 0 where the server does not tell.
  long long number(const std::string& field) const;

  /// Whether the server was started with a file, into which CONFIG REWRITE writes; also if it does not tell.
  bool has_file() const;

  std::string product() const;  ///< "Redis", "Redict", "Valkey"
  Version version() const;
};

/// Throws what server_info() throws, but for a right that is missing.
ServerFacts read_facts(const Connection& connection);

/// A text that nobody has used before, for the names of keys.
std::string unique_text();

}  // namespace redismutex::cli
