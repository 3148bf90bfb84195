#include "server_facts.hpp"

#include <array>
#include <cstdlib>
#include <random>
#include <redismutex/operate.hpp>
#include <sstream>

namespace redismutex::cli {
namespace {

std::string value_of(const std::map<std::string, std::string>& all, const std::string& name,
                     const std::string& otherwise) {
  const auto found = all.find(name);
  return found == all.end() ? otherwise : found->second;
}

}  // namespace

std::string ServerFacts::info(const std::string& field) const { return value_of(fields, field, {}); }

std::string ServerFacts::config(const std::string& setting, const std::string& otherwise) const {
  return value_of(settings, setting, otherwise);
}

long long ServerFacts::number(const std::string& field) const { return std::atoll(info(field).c_str()); }

std::string ServerFacts::product() const {
  if (fields.contains("redict_version")) return "Redict";
  return fields.contains("valkey_version") || info("server_name") == "valkey" ? "Valkey" : "Redis";
}

ServerFacts::Version ServerFacts::version() const {
  Version version{.text =
                      value_of(fields, "valkey_version", value_of(fields, "redict_version", info("redis_version")))};
  // The numbers by which servers tell what they can do: Valkey and Redict keep those of Redis that they began with.
  std::istringstream words{info("redis_version")};
  char dot = 0;
  words >> version.major >> dot >> version.minor;
  return version;
}

bool ServerFacts::has_file() const { return !value_of(fields, "config_file", "unknown").empty(); }

ServerFacts read_facts(const Connection& connection) {
  ServerFacts facts;
  try {
    facts.fields = server_info(connection);
    facts.may_ask = true;
  } catch (const ServerError& error) {
    if (error.reason() != ServerError::Reason::no_permission) throw;
  }
  const auto config = ask(connection, std::array<std::string, 3>{"CONFIG", "GET", "*"});
  facts.may_configure = !config.refused;
  for (std::size_t i = 0; i + 1 < config.list.size(); i += 2) facts.settings[config.list[i]] = config.list[i + 1];
  return facts;
}

std::string unique_text() {
  std::random_device random;
  std::ostringstream text;
  text << std::hex << random() << random() << random() << random();
  return text.str();
}

}  // namespace redismutex::cli
