#include "doctor_rights.hpp"

#include <algorithm>
#include <array>
#include <redismutex/operate.hpp>

namespace redismutex::cli {
namespace {

/// A command that locks need, and the right for it.
struct Need {
  std::string right;
  std::vector<std::string> command;
  bool is_vital = true;
};

constexpr auto beside = "redismutex:doctor";

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
          {"+ssubscribe", {"SSUBSCRIBE", beside}, false},
          {"+spublish", {"SPUBLISH", beside, "x"}, false},
          {"+pubsub|shardnumsub", {"PUBSUB", "SHARDNUMSUB", beside}, false}};
}

}  // namespace

std::optional<MissingRights> missing_rights(const Connection& connection, const ServerFacts::Version& version) {
  if (version.major < 7) return std::nullopt;
  const auto user = ask(connection, std::array<std::string, 2>{"ACL", "WHOAMI"});
  if (user.refused) return std::nullopt;
  MissingRights missing{.user = user.text, .rights = {}};
  for (auto& [right, command, is_vital] : needs()) {
    std::vector<std::string> question{"ACL", "DRYRUN", user.text};
    question.insert(question.end(), command.begin(), command.end());
    const auto answer = ask(connection, question);
    if (answer.refused) return std::nullopt;
    if (answer.text == "OK") continue;
    // "User alice has no permissions to access the 'x' key", "… channel", "… to run the 'x' command"
    if (answer.text.find("' key") != std::string::npos || answer.text.find(" keys") != std::string::npos)
      right = "~redismutex:*";
    if (answer.text.find("channel") != std::string::npos) right = "&redismutex:*";
    if (std::find(missing.rights.begin(), missing.rights.end(), right) == missing.rights.end())
      missing.rights.push_back(right);
    missing.are_vital = missing.are_vital || is_vital;
  }
  return missing;
}

}  // namespace redismutex::cli
