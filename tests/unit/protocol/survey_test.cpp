#include "protocol/survey.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// There only if a server takes no writes without replicas.
const std::string waits_for_replicas = "min_slaves_good_slaves:1\r\n";

/// The fields that matter, among others that look like them, as INFO prints them.
std::string info(const std::string& maxmemory, const std::string& policy, const std::string& aof,
                 const std::string& replicas, const std::string& good_replicas = waits_for_replicas) {
  return "# Memory\r\nused_memory:1000\r\nmaxmemory:" + maxmemory +
         "\r\nmaxmemory_human:7G\r\nmaxmemory_policy:" + policy + "\r\n\r\n# Persistence\r\naof_enabled:" + aof +
         "\r\naof_rewrite_in_progress:0\r\n\r\n# Replication\r\nrole:master\r\n" + "connected_slaves:" + replicas +
         "\r\nmaster_repl_offset:0\r\n" + good_replicas;
}

std::vector<std::string> warnings(const Answer& answer) {
  Survey machine;
  machine.start({});
  EXPECT_TRUE(is_done(machine.answered(answer)));
  return machine.warnings();
}

// One question that changes nothing, asked again if the answer is lost.
TEST(Survey, IsOneHarmlessQuestion) {
  Survey machine;
  EXPECT_THAT(command(machine.start({})), ElementsAre("INFO"));
  EXPECT_THAT(command(machine.unanswered()), ElementsAre("INFO"));
  EXPECT_TRUE(is_done(machine.woken({})));
}

// Nothing to say about a server that keeps what it has: no memory limit, or none that deletes; a log, or nobody that copies
// an empty start.
TEST(Survey, ASafeServerGetsNoWarning) {
  EXPECT_THAT(warnings(text(info("0", "allkeys-lru", "0", "0"))), IsEmpty());
  EXPECT_THAT(warnings(text(info("1000000", "noeviction", "0", "0"))), IsEmpty());
  EXPECT_THAT(warnings(text(info("0", "noeviction", "1", "2"))), IsEmpty());
}

// A server that deletes keys when memory is short is named for it, with the remedy.
TEST(Survey, EvictionIsWarnedOf) {
  for (const std::string policy : {"allkeys-lru", "volatile-ttl"}) {
    EXPECT_THAT(warnings(text(info("1000000", policy, "1", "0"))),
                ElementsAre(AllOf(HasSubstr(policy), HasSubstr("set maxmemory-policy to noeviction"))));
  }
}

// So is one that forgets at a restart, and makes its replicas forget.
TEST(Survey, ForgettingWithReplicasIsWarnedOf) {
  EXPECT_THAT(warnings(text(info("0", "noeviction", "0", "1"))), ElementsAre(HasSubstr("set appendonly to yes")));
  EXPECT_EQ(warnings(text(info("1000000", "allkeys-lfu", "0", "3"))).size(), 2u);
}

// And one that goes on alone when others have taken its place.
TEST(Survey, TwoMastersAreWarnedOf) {
  EXPECT_THAT(warnings(text(info("0", "noeviction", "1", "2", ""))),
              ElementsAre(HasSubstr("set min-replicas-to-write to 1")));
  EXPECT_THAT(warnings(text(info("0", "noeviction", "1", "0", ""))), IsEmpty());
}

// A server that does not let us look is no reason to fail; what to look at is said.
TEST(Survey, ARefusalIsAWarning) {
  EXPECT_THAT(warnings(error("NOPERM this user has no permissions to run the 'info' command")),
              ElementsAre(AllOf(HasSubstr("NOPERM"), HasSubstr("noeviction"))));
}

// Fields that are missing, as in other products, are no reason to warn.
TEST(Survey, MissingFieldsAreNoReasonToWarn) {
  EXPECT_THAT(warnings(text("# Memory\r\nmaxmemory:1000000\r\n")), IsEmpty());
  EXPECT_THAT(warnings(text("")), IsEmpty());
}

}  // namespace
}  // namespace redismutex::protocol
