#include "protocol/verdict.hpp"

#include <gtest/gtest.h>

#include <ostream>
#include <string_view>
#include <vector>

namespace redismutex::protocol {

void PrintTo(Verdict verdict, std::ostream* out) {
  constexpr const char* names[] = {"repeat", "leave", "forbidden", "tell"};
  *out << names[static_cast<int>(verdict)];
}

namespace {

struct Said {
  std::string_view text;
  std::string_view code;
};

void expect(Verdict expected, const std::vector<Said>& refusals) {
  for (const auto& [text, code] : refusals) {
    EXPECT_EQ(verdict(text), expected) << text;
    EXPECT_EQ(error_code(text), code) << text;
  }
}

// All texts below, but for those marked, are what Redis 6.0.16, 7.0.15, 8.0 or Valkey 8.0 to 9.1 answered.

TEST(Verdict, NotNow) {
  expect(Verdict::repeat, {
                              {"LOADING Redis is loading the dataset in memory", "LOADING"},
                              {"LOADING Valkey is loading the dataset in memory", "LOADING"},
                              {"CLUSTERDOWN Hash slot not served", "CLUSTERDOWN"},
                              {"CLUSTERDOWN The cluster is down", "CLUSTERDOWN"},
                              {"ERR max number of clients reached", "ERR"},
                              {"ERR max number of clients + cluster connections reached", "ERR"},  // from the source
                          });
}

TEST(Verdict, InACluster) {
  expect(Verdict::moved, {{"MOVED 3999 127.0.0.1:6381", "MOVED"}, {"MOVED 3999 :6381", "MOVED"}});
  expect(Verdict::ask, {{"ASK 3999 127.0.0.1:6381", "ASK"}});
  expect(Verdict::split, {{"TRYAGAIN Multiple keys request during rehashing of slot", "TRYAGAIN"}});
}

TEST(Verdict, NotHere) {
  expect(
      Verdict::leave,
      {
          {"READONLY You can't write against a read only replica.", "READONLY"},
          {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "MASTERDOWN"},
          {"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", "UNBLOCKED"},
          // From a transaction that was queued before the change of roles.
          {"EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.",
           "READONLY"},
      });
}

TEST(Verdict, Never) {
  expect(Verdict::forbidden,
         {
             {"NOPERM this user has no permissions to run the 'set' command or its subcommand", "NOPERM"},
             {"NOPERM User bob has no permissions to run the 'set' command", "NOPERM"},
             {"NOPERM No permissions to access a channel", "NOPERM"},
             {"ERR unknown command `SSUBSCRIBE`, with args beginning with: `x`, ", "ERR"},
             {"ERR unknown command 'FOO', with args beginning with: 'a' ", "ERR"},
             {"ERR unknown subcommand 'FOO'. Try CLIENT HELP.", "ERR"},
             {"ERR Unknown subcommand or wrong number of arguments for 'SHARDNUMSUB'. Try PUBSUB HELP.", "ERR"},
         });
}

TEST(Verdict, ForTheCaller) {
  expect(Verdict::tell,
         {
             {"OOM command not allowed when used memory > 'maxmemory'.", "OOM"},
             {"NOREPLICAS Not enough good replicas to write.", "NOREPLICAS"},
             {"MISCONF Errors writing to the AOF file: No space left on device", "MISCONF"},
             {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "BUSY"},
             {"WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"},
             {"NOAUTH Authentication required.", "NOAUTH"},
             {"NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT"},
             {"EXECABORT Transaction discarded because of previous errors.", "EXECABORT"},
             {"ERR syntax error", "ERR"},
             {"ERR Script killed by user with SCRIPT KILL. script: on @user_script:1.", "ERR"},
         });
}

// A code is a whole word at the beginning, whatever else the text contains.
TEST(Verdict, OfWhatOnlyLooksLikeACode) {
  expect(Verdict::tell, {
                            {"", ""},
                            {" READONLY", ""},
                            {"READONLYISH", "READONLYISH"},
                            {"LOADING-2 x", "LOADING-2"},
                            {"readonly You can't write", "readonly"},
                            {"ERR the key READONLY is not LOADING: -READONLY", "ERR"},
                            {"ERR READ: @user_script: 1: -READONLY", "ERR"},
                        });
  expect(Verdict::repeat, {{"LOADING", "LOADING"}});
}

// Redis 6.0 tells the story of the script first; and an error that the script itself returned has its place before it.
TEST(Verdict, WithinTheScriptsOfRedis6) {
#define STORY "ERR Error running script (call to f_62e6aac9c7520a78c28f012748b42ed670fff5d3): @user_script:81: "
  expect(Verdict::leave,
         {
             {STORY "@user_script: 81: -READONLY You can't write against a read only replica.", "READONLY"},
             {"@user_script: 1: -READONLY You can't write against a read only replica.  ", "READONLY"},
         });
  expect(Verdict::forbidden,
         {
             {STORY "@user_script: 1: The user executing the script can't run this command or subcommand", "NOPERM"},
             {STORY "@user_script: 1: The user executing the script can't access at least one of the keys mentioned in "
                    "the command arguments",
              "NOPERM"},
             {"@user_script: 1: The user executing the script can't run this command or subcommand", "NOPERM"},
             {STORY "@user_script: 1: Unknown Redis command called from Lua script", "ERR"},
             {STORY "ERR Unknown subcommand or wrong number of arguments for 'FOO'. Try PUBSUB HELP.", "ERR"},
         });
  expect(Verdict::tell,
         {
             {STORY "@user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.", "OOM"},
             {"@user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.  ", "OOM"},
             {STORY "@user_script: 1: -MISCONF Redis is configured to save RDB snapshots, but", "MISCONF"},
             {STORY "WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"},
             {STORY "Script killed by user with SCRIPT KILL...", "ERR"},
             {STORY "@user_script: 81: Write commands not allowed after non deterministic commands.", "ERR"},
             {STORY "", "ERR"},
             {"ERR Error running script", "ERR"},
             {"@user_script:", "ERR"},
         });
#undef STORY
}

// Later servers put the story behind it.
TEST(Verdict, WithinTheScriptsOfOthers) {
#define STORY " script: 62e6aac9c7520a78c28f012748b42ed670fff5d3, on @user_script:1."
  expect(Verdict::leave,
         {
             {"READONLY You can't write against a read only replica." STORY, "READONLY"},
             {"READONLY You can't write against a read only replica. script: on @user_script:1.", "READONLY"},
         });
  expect(Verdict::forbidden,
         {
             {"ERR The user executing the script can't run this command or subcommand" STORY, "NOPERM"},
             {"ERR The user executing the script can't access at least one of the keys mentioned in the command "
              "arguments" STORY,
              "NOPERM"},
             {"ERR ACL failure in script: User bob has no permissions to run the 'publish' command" STORY, "NOPERM"},
             {"ERR ACL failure in script: No permissions to access a key", "NOPERM"},
             {"ERR Unknown Redis command called from script" STORY, "ERR"},
             {"ERR Unknown command called from script script: on @user_script:1.", "ERR"},
         });
  expect(Verdict::tell, {
                            {"OOM command not allowed when used memory > 'maxmemory'." STORY, "OOM"},
                            {"NOREPLICAS Not enough good replicas to write." STORY, "NOREPLICAS"},
                            {"WRONGTYPE Operation against a key holding the wrong kind of value" STORY, "WRONGTYPE"},
                        });
#undef STORY
}

}  // namespace
}  // namespace redismutex::protocol
