// Words are completed as they are typed, in real shells; what the command does not know is left to the shell.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "command.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string completed(const std::vector<std::string>& words, const std::vector<std::string>& environment = {}) {
  std::vector<std::string> arguments{"complete", "--"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  const auto result = redismutex(arguments, environment);
  EXPECT_EQ(result.status, exited(0));
  EXPECT_EQ(result.err, "");
  std::string found;
  for (std::size_t at = 0; at < result.out.size(); at = result.out.find('\n', at) + 1) {
    found += result.out.substr(at, result.out.find('\t', at) - at) + " ";
  }
  return found;
}

TEST(Complete, KnowsWhereAWordStands) {
  EXPECT_EQ(completed({"ru"}), "run ");
  EXPECT_EQ(completed({"run", "--wa"}), "--wait ");
  EXPECT_EQ(completed({"hold", "-n", "--w"}), "--wait --with ");
  EXPECT_EQ(completed({"hold", "--wait", "--w"}), "") << "a value";
  EXPECT_EQ(completed({"hold", "--wait=3", "--wi"}), "--with ");
  EXPECT_EQ(completed({"hold", "--", "--w"}), "") << "a KEY";
  EXPECT_EQ(completed({"run", "k", "--wa"}), "") << "of COMMAND";
  EXPECT_EQ(completed({"walk", "--wa"}), "");
  EXPECT_EQ(completed({"--v"}), "--version ");
  EXPECT_EQ(completed({"complete"}), "") << "hidden";
}

TEST(Complete, TellsKeysToThoseWhoWantThem) {
  Server server;
  const auto held = redismutex({"hold", "--lease", "1h", "import:1"}, {"REDIS_URL=" + server.url()});
  ASSERT_EQ(held.status, exited(0)) << held.err;
  const std::vector<std::string> wanted{"REDIS_URL=" + server.url(), "REDISMUTEX_COMPLETE_KEYS=1"};
  EXPECT_EQ(completed({"hold", "im"}, wanted), "import:1 ");
  EXPECT_EQ(completed({"hold", "im"}, {"REDIS_URL=" + server.url(), "REDISMUTEX_COMPLETE_KEYS="}), "");
  EXPECT_EQ(completed({"hold", "--url", server.url(), "im"}, {"REDIS_URL=redis://localhost:1", wanted[1]}),
            "import:1 ");
  EXPECT_EQ(completed({"hold", "im"}, {"REDIS_URL=redis://localhost:1", wanted[1]}), "");
}

/// What a shell prints that has the command in its PATH. The script finds the completion as $SHIM.
std::string in_shell(const std::vector<std::string>& shell, const std::string& shim, const std::string& script) {
  const auto path = std::filesystem::path{REDISMUTEX_COMMAND}.parent_path().string();
  auto words = shell;
  words.push_back(script);
  const auto result = result_of(ChildProcess(Program{
      .arguments = words,
      .environment = {"PATH=" + path + ":/usr/bin:/bin", "SHIM=" REDISMUTEX_COMPLETIONS "/" + shim, "TERM=dumb"}}));
  EXPECT_EQ(result.err, "");
  return result.out;
}

TEST(Complete, WorksInBash) {
  const auto text =
      in_shell({"bash", "--norc", "-c"}, "redismutex.bash",
               "source $SHIM; COMP_WORDS=(redismutex hold --wi); COMP_CWORD=2; _redismutex; "
               "echo \"<${COMPREPLY[*]}>\"; complete -p redismutex; "
               "COMP_WORDS=(redismutex run k ls ''); COMP_CWORD=4; _redismutex; echo \"<${COMPREPLY[*]}>\"");
  EXPECT_THAT(text, AllOf(HasSubstr("<--with>\n"), HasSubstr("-o default"), HasSubstr("<>\n")));
}

// A key may have anything in it, which the shell is not to run.
TEST(Complete, QuotesKeysForBash) {
  Server server;
  const auto held = redismutex({"hold", "--lease", "1h", "dep; touch x"}, {"REDIS_URL=" + server.url()});
  ASSERT_EQ(held.status, exited(0)) << held.err;
  const auto text = in_shell({"bash", "--norc", "-c"}, "redismutex.bash",
                             "export REDISMUTEX_COMPLETE_KEYS=1 REDIS_URL=" + server.url() +
                                 "; source $SHIM; COMP_WORDS=(redismutex status de); COMP_CWORD=2; _redismutex; "
                                 "echo \"<${COMPREPLY[*]}>\"");
  EXPECT_THAT(text, HasSubstr("<dep\\;\\ touch\\ x>\n"));
}

// A terminal is needed for its line editor: zpty is one.
TEST(Complete, WorksInZsh) {
  const auto text =
      in_shell({"zsh", "-f", "-c"}, "_redismutex",
               "zmodload zsh/zpty; zpty z zsh -f -i; "
               "zpty -w z 'PROMPT=; fpath=(${SHIM:h} $fpath); autoload -Uz compinit; compinit -u -D; echo re''ady'; "
               "zpty -r -m z x '*ready*'; zpty -w -n z $'redismutex hold --wi\\t'; "
               "zpty -r -m z x '*--with*'; print -r -- $x; zpty -d z");
  EXPECT_THAT(text, HasSubstr("--with"));
}

TEST(Complete, WorksInFish) {
  const Notes home;
  const auto text = in_shell({"env", "HOME=" + home.directory(), "fish", "--no-config", "-c"}, "redismutex.fish",
                             "source $SHIM; complete -C 'redismutex hold --wi'; complete -C 'redismutex ru'");
  EXPECT_THAT(text, AllOf(HasSubstr("--with\t"), HasSubstr("run\tRuns"), Not(HasSubstr("hold\t"))));
}

}  // namespace
}  // namespace redismutex::testing
