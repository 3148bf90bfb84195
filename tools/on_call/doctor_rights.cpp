#include "doctor_rights.hpp"

#include <algorithm>
#include <array>
#include <redismutex/operate.hpp>
#include <string_view>
#include <utility>

namespace redismutex::cli {
namespace {

/// A command that locks need, and the right for it.
struct Need {
  std::string right;
  std::vector<std::string> command;
  bool is_vital = true;
  int since_version = 6;
  std::string right_to_key = "~redismutex:*";
};

constexpr auto beside = "redismutex:doctor";

/// As a key pattern that matches this name alone.
std::string pattern_of(const std::string& key) {
  std::string pattern;
  for (const char c : key) {
    if (std::string_view{"*?[]\\"}.find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

/// It is read and written.
std::vector<Need> needs_of(const TriedKey& key) {
  const std::string right = "~" + pattern_of(key.name);
  return {{"+get", {"GET", key.name}, key.is_locked, 6, right},
          {"+set", {"SET", key.name, "x"}, key.is_locked, 6, right}};
}

/// See docs/deployment.md, "Rights".
std::vector<Need> needs() {
  return {{"+evalsha", {"EVALSHA", "0", "0"}},
          {"+script|load", {"SCRIPT", "LOAD", "return 1"}},
          {"+multi", {"MULTI"}},
          {"+exec", {"EXEC"}},
          {"+time", {"TIME"}},
          {"+get", {"GET", beside}},
          {"+set", {"SET", beside, "x"}},
          {"+exists", {"EXISTS", beside}},
          {"+del", {"DEL", beside}},
          {"+unlink", {"UNLINK", beside}},
          {"+pexpire", {"PEXPIRE", beside, "1"}},
          {"+pttl", {"PTTL", beside}},
          {"+psetex", {"PSETEX", beside, "1", "x"}},
          {"+zadd", {"ZADD", beside, "1", "x"}},
          {"+zrem", {"ZREM", beside, "x"}},
          {"+zrange", {"ZRANGE", beside, "0", "1"}},
          {"+zrangebyscore", {"ZRANGEBYSCORE", beside, "0", "1"}},
          {"+zscore", {"ZSCORE", beside, "x"}},
          {"+zcount", {"ZCOUNT", beside, "0", "1"}},
          {"+client|tracking", {"CLIENT", "TRACKING", "ON"}, false},
          {"+client|caching", {"CLIENT", "CACHING", "YES"}, false},
          {"+ssubscribe", {"SSUBSCRIBE", beside}, false, 7},
          {"+spublish", {"SPUBLISH", beside, "x"}, false, 7},
          {"+pubsub|shardnumsub", {"PUBSUB", "SHARDNUMSUB", beside}, false, 7}};
}

}  // namespace

std::optional<MissingRights> missing_rights(const Connection& connection, const ServerFacts::Version& version,
                                            const TriedKey& key) {
  if (version.major < 7) return std::nullopt;
  const auto user = ask(connection, std::array<std::string, 2>{"ACL", "WHOAMI"});
  if (user.refused) return std::nullopt;
  MissingRights missing{.user = user.text, .rights = {}};
  auto all = needs();
  for (Need& need : needs_of(key)) all.push_back(std::move(need));
  for (auto& [right, command, is_vital, since_version, right_to_key] : all) {
    std::vector<std::string> question{"ACL", "DRYRUN", user.text};
    question.insert(question.end(), command.begin(), command.end());
    const auto answer = ask(connection, question);
    if (answer.refused) return std::nullopt;
    if (answer.text == "OK") continue;
    // "User alice has no permissions to access the 'x' key", "… channel", "… to run the 'x' command"
    if (answer.text.find("' key") != std::string::npos || answer.text.find(" keys") != std::string::npos)
      right = right_to_key;
    if (answer.text.find("channel") != std::string::npos) right = "&redismutex:*";
    if (std::find(missing.rights.begin(), missing.rights.end(), right) == missing.rights.end())
      missing.rights.push_back(right);
    missing.are_vital = missing.are_vital || is_vital;
  }
  return missing;
}

std::vector<std::string> rights_for_locks(const ServerFacts::Version& version) {
  std::vector<std::string> rights{"~redismutex:*", "~redismutex-doctor:*"};
  const bool has_channels = version.major > 6 || (version.major == 6 && version.minor >= 2);
  if (has_channels) rights.emplace_back("&redismutex:*");
  for (Need& need : needs()) {
    if (need.since_version <= std::max(version.major, 6)) rights.push_back(std::move(need.right));
  }
  if (version.major < 7) rights.insert(rights.end(), {"+subscribe", "+publish", "+pubsub|numsub"});
  return rights;
}

}  // namespace redismutex::cli
