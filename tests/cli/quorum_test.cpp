// The command and several servers that know nothing of each other: --url three times or more.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <redismutex/redismutex.hpp>
#include <string>
#include <vector>

#include "command.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Not;

class QuorumCommand : public ::testing::Test {
 protected:
  using Words = std::vector<std::string>;

  /// The words behind the subcommand's name, with --url for each of the first servers in front.
  Words at(const std::string& subcommand, const Words& words, std::size_t count = 3) {
    Words all{subcommand};
    for (std::size_t i = 0; i < count; ++i) all.insert(all.end(), {"--url", servers.at(i).url()});
    all.insert(all.end(), words.begin(), words.end());
    return all;
  }

  Result run(const std::string& subcommand, const Words& words) { return redismutex(at(subcommand, words)); }

  std::string lines_of_urls(std::size_t count) {
    std::string lines;
    for (std::size_t i = 0; i < count; ++i) lines += servers.at(i).url() + "\n";
    return lines;
  }

  /// A `redismutex run` that is inside, and has it at all servers.
  ChildProcess holder(const std::string& key) {
    auto process = start_redismutex(at("run", {key, "sh", "-c", "echo $REDISMUTEX_VALUE >$DIR/inside; exec sleep 60"}),
                                    {notes.variable()});
    EXPECT_TRUE(notes.appears("inside"));
    EXPECT_TRUE(eventually(limit, [&] { return holding(key) == 3 && holding("redismutex:about:{" + key + "}") == 3; }));
    return process;
  }

  std::size_t holding(const std::string& key) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < 3; ++i) count += servers.at(i).exists(key) ? 1U : 0U;
    return count;
  }

  Notes notes;
  std::array<Server, 4> servers;
};

// ---- run and hold ---------------------------------------------------------------------------------------------------

TEST_F(QuorumCommand, RunsUnderALockOfAMajority) {
  const auto inside = holder("k");
  std::string id = notes.read("inside");
  id.pop_back();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(servers.at(i).get("k"), id);
  const auto other = run("run", {"-n", "k", "true"});
  EXPECT_EQ(other.status, exited(75));
  EXPECT_THAT(other.err, AllOf(HasSubstr("'k' is taken by "), HasSubstr("run/sh"), HasSubstr("redismutex break k")));
  inside.kill(SIGTERM);
  EXPECT_EQ(run("run", {"-w", "20", "k", "true"}).status, exited(0));
  EXPECT_TRUE(eventually(limit, [&] { return holding("k") == 0; }));
}

TEST_F(QuorumCommand, RunsOnThroughTheDeathOfAMinority) {
  servers[1].kill();
  EXPECT_EQ(run("run", {"k", "true"}).status, exited(0));
  EXPECT_EQ(run("hold", {"--lease", "1", "k"}).status, exited(0));
  servers[2].kill();
  const auto result = run("run", {"-n", "other", "true"});
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, AllOf(HasSubstr("2 are needed"), HasSubstr(servers[1].socket_path() + ": "),
                                HasSubstr(servers[2].socket_path() + ": ")));
  const auto impatient = run("run", {"--patience", "0.3", "other", "true"});
  EXPECT_EQ(impatient.status, exited(69));
  EXPECT_THAT(impatient.err, AllOf(HasSubstr("a majority of the servers was away"), HasSubstr("--patience")));
}

TEST_F(QuorumCommand, TakesUrlsFromEachPlaceOneALine) {
  notes.write("urls", "# ours\n" + lines_of_urls(3));
  const auto expect_asked = [&](const Result& result) {
    EXPECT_EQ(result.status, exited(0)) << result.err;
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_THAT(servers.at(i).command_calls()["set"] + servers.at(i).command_calls()["evalsha"], Ge(1)) << i;
      servers.at(i).command({"CONFIG", "RESETSTAT"});
    }
  };
  expect_asked(redismutex({"run", "--url-file", notes.path("urls"), "k", "true"}));
  expect_asked(redismutex({"run", "k", "true"}, {"REDISMUTEX_URL=" + lines_of_urls(3)}));
  expect_asked(redismutex({"run", "k", "true"}, {"REDIS_URL=" + lines_of_urls(3)}));
}

// Of two servers, or four, nobody has to agree with anybody.
TEST_F(QuorumCommand, IsOfAnOddNumber) {
  for (const std::size_t count : {2U, 4U}) {
    const std::string wanted =
        " names " + std::to_string(count) + " servers: it takes one, or for a quorum an odd number";
    for (const Words& words :
         std::vector<Words>{{"run", "k", "true"}, {"hold", "k"}, {"status", "k"}, {"break", "--yes", "k"}, {"ls"}}) {
      const auto result = redismutex(at(words.front(), {words.begin() + 1, words.end()}, count));
      EXPECT_EQ(result.status, exited(64)) << words.front();
      EXPECT_THAT(result.err, HasSubstr("--url" + wanted));
    }
    notes.write("urls", lines_of_urls(count));
    EXPECT_THAT(redismutex({"run", "--url-file", notes.path("urls"), "k", "true"}).err, HasSubstr("urls" + wanted));
    EXPECT_THAT(redismutex({"run", "k", "true"}, {"REDIS_URL=" + lines_of_urls(count)}).err,
                HasSubstr("$REDIS_URL" + wanted));
    EXPECT_EQ(redismutex(at("doctor", {}, count)).status, exited(3));
  }
  for (Server& server : servers) EXPECT_EQ(server.command_calls()["hello"], 0);
}

TEST_F(QuorumCommand, RefusesWhatIsNoQuorum) {
  const auto refusal = [&](const Words& words) {
    const auto result = run("run", words);
    EXPECT_EQ(result.status, exited(64)) << result.err;
    return result.err;
  };
  EXPECT_THAT(refusal({"--replicas", "1", "k", "true"}), HasSubstr("--replicas: is not for a quorum"));
  EXPECT_THAT(refusal({"--url", "embedded:", "--url", "embedded:", "k", "true"}), HasSubstr("no server of a quorum"));
  EXPECT_THAT(refusal({"--url", servers[0].url(), "--url", "redis://nowhere", "k", "true"}),
              HasSubstr("is there twice"));
  EXPECT_THAT(refusal({"--url", "redis+cluster://a", "--url", "redis://b", "k", "true"}),
              HasSubstr("leads to a cluster"));
  const auto one = redismutex({"run", "--url", servers[0].url(), "--grace", "3", "k", "true"});
  EXPECT_EQ(one.status, exited(64));
  EXPECT_THAT(one.err, HasSubstr("--grace: is for a quorum"));
}

TEST_F(QuorumCommand, FindsOneThatIsNamedTwice) {
  const std::string& path = servers[1].socket_path();
  const std::string again = path.substr(0, path.rfind('/')) + "/./" + path.substr(path.rfind('/') + 1);
  servers[0].kill();  // with it there would be a majority, of two
  for (const std::string option : {"-n", "-v"}) {
    const auto result = redismutex(
        {"run", option, "--url", servers[0].url(), "--url", servers[1].url(), "--url", "unix://" + again, "k", "true"});
    EXPECT_EQ(result.status, exited(69));
    EXPECT_THAT(result.err, HasSubstr("lead to one server, and one server has one vote"));
  }
}

TEST_F(QuorumCommand, LeavesOutWhatWasJustStarted) {
  const auto result = run("run", {"--grace", "3600", "-n", "k", "true"});
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, AllOf(HasSubstr("started less than"), HasSubstr("3600000 ms")));
  EXPECT_EQ(run("run", {"--grace", "0", "-n", "k", "true"}).status, exited(0));
}

// ---- on call --------------------------------------------------------------------------------------------------------

TEST_F(QuorumCommand, ShowsWhoHasAMajority) {
  EXPECT_THAT(run("status", {"k"}).out, HasSubstr("free at 3 of 3 servers"));
  EXPECT_EQ(run("status", {"-q", "k"}).status, exited(1));
  const auto inside = holder("k");
  servers[2].kill();
  const auto seen = run("status", {"--deep", "k"});
  EXPECT_EQ(seen.status, exited(0)) << seen.err;
  EXPECT_THAT(seen.out, AllOf(HasSubstr("held at 2 of 3 servers by "), HasSubstr("run/sh"),
                              HasSubstr(servers[0].socket_path()), HasSubstr("no answer")));
  EXPECT_EQ(run("status", {"-q", "k"}).status, exited(0));
  const auto said = nlohmann::json::parse(run("status", {"--json", "k"}).out);
  EXPECT_EQ(said["state"], "held");
  EXPECT_EQ(said["votes"], 2);
  EXPECT_EQ(said["majority"], 2);
  EXPECT_EQ(said["servers"].size(), 3U);
  EXPECT_EQ(said["servers"][0]["holder"]["id"].get<std::string>() + "\n", notes.read("inside"));
  EXPECT_THAT(said["servers"][2]["trouble"].get<std::string>(), HasSubstr(servers[2].socket_path()));
  servers[1].kill();
  EXPECT_EQ(run("status", {"k"}).status, exited(69));
  inside.kill(SIGKILL);
}

TEST_F(QuorumCommand, ShowsThatNobodyHasAMajority) {
  servers[0].command({"SET", "k", "one"});
  servers[1].command({"SET", "k", "other"});
  EXPECT_THAT(run("status", {"k"}).out, HasSubstr("split: nobody has it at 2 of 3 servers"));
  EXPECT_EQ(nlohmann::json::parse(run("status", {"--json", "k"}).out)["state"], "split");
  EXPECT_EQ(run("status", {"-q", "k"}).status, exited(0)) << "it is not to be had";
}

TEST_F(QuorumCommand, TakesALockFromItsHolderAtAll) {
  EXPECT_EQ(run("break", {"--yes", "k"}).status, exited(1));
  const auto inside = holder("k");
  std::string id = notes.read("inside");
  id.pop_back();
  EXPECT_EQ(run("break", {"--yes", "--owner", "another", "k"}).status, exited(75));
  const auto broken = run("break", {"--yes", "--owner", id, "k"});
  EXPECT_EQ(broken.status, exited(0)) << broken.err;
  // Once it has lost a majority its holder gives back what is left, perhaps before the third server is asked.
  EXPECT_THAT(broken.out, AllOf(HasSubstr("'k' was taken from "), ::testing::ContainsRegex(" at [23] of 3 servers")));
  EXPECT_TRUE(eventually(limit, [&] { return holding("k") == 0; }));
  EXPECT_EQ(inside.wait(limit), exited(79));
}

TEST_F(QuorumCommand, ExaminesEachServerAndWhatTheyAreTogether) {
  const auto well = run("doctor", {"--write"});
  EXPECT_THAT(well.out,
              AllOf(HasSubstr("quorum: 3 of 3 servers answer"), HasSubstr(servers[1].socket_path() + " version"),
                    HasSubstr("a lock was taken at a majority")));
  EXPECT_NE(well.status, exited(2)) << well.out;
  servers[2].kill();
  const auto ill = run("doctor", {});
  EXPECT_EQ(ill.status, exited(1)) << ill.out;
  EXPECT_THAT(ill.out, HasSubstr("warning   quorum: 2 of 3 servers answer, 2 are needed"));
  servers[1].kill();
  EXPECT_EQ(run("doctor", {}).status, exited(2));
  const auto twice =
      redismutex({"doctor", "--url", servers[0].url(), "--url", servers[0].url(), "--url", servers[3].url()});
  EXPECT_EQ(twice.status, exited(2));
  EXPECT_THAT(twice.out, HasSubstr("lead to one server"));
}

TEST_F(QuorumCommand, LooksAtOneServerWhereManyMakeNoSense) {
  for (const Words& words :
       std::vector<Words>{{"ls"}, {"watch"}, {"bench"}, {"status", "--watch", "k"}, {"status", "--prometheus", "k"}}) {
    const auto result = run(words.front(), {words.begin() + 1, words.end()});
    EXPECT_EQ(result.status, exited(64)) << words.front();
    EXPECT_THAT(result.err, HasSubstr("--url names 3 servers, and this looks at one"));
  }
}

}  // namespace
}  // namespace redismutex::testing
