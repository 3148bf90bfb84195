// The parser, the man pages and the completions have the same subcommands and options, and a man page has each exit status.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "command.hpp"

namespace redismutex::testing {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

using Names = std::set<std::string>;

Names matches(const std::string& text, const std::string& pattern) {
  Names found;
  const std::regex expression{pattern};
  for (auto it = std::sregex_iterator(text.begin(), text.end(), expression); it != std::sregex_iterator(); ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

/// What lies between the line that begins with `heading` and `end`, or the end of the text.
std::string part(const std::string& text, const std::string& heading, const std::string& end) {
  const auto begin = text.find("\n" + heading);
  if (begin == std::string::npos) return {};
  const auto body = text.find('\n', begin + 1);
  return text.substr(body, text.find(end, body) - body);
}

std::string help_of(const std::vector<std::string>& words) {
  auto with_help = words;
  with_help.push_back("--help");
  const auto result = redismutex(with_help);
  EXPECT_EQ(result.status, exited(0)) << result.err;
  return result.out;
}

/// "  -w,--wait TIME   wait at most": the names in it.
Names options_in_help(const std::string& help) {
  Names found;
  for (const auto& names : matches(part(help, "Options:", "\n\n"), "\n  (-[^ ]+)")) {
    const auto each = matches(names + ",", "(-[^,]+),");
    found.insert(each.begin(), each.end());
  }
  return found;
}

Names completions_of(std::vector<std::string> words, const std::string& last) {
  words.insert(words.begin(), {"complete", "--"});
  words.push_back(last);
  return matches(redismutex(words).out, "([^\t\n]+)\t[^\n]*\n");
}

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string page_of(const std::string& name) { return read(REDISMUTEX_MAN_PAGES "/" + name + ".1.scd"); }

Names options_in_page(const std::string& page) { return matches(part(page, "# OPTIONS", "\n# "), "\\*(-[^*]+)\\*"); }

Names subcommands() { return matches(part(help_of({}), "Subcommands:", "\n\n"), "\n  ([a-z]+) "); }

TEST(ManPages, AreThereForEachSubcommand) {
  EXPECT_THAT(subcommands(), ::testing::IsSupersetOf({"run", "hold", "doctor", "bench"}));
  EXPECT_EQ(subcommands(), matches(part(page_of("redismutex"), "# SUBCOMMANDS", "\n# "), "\n\\*([a-z]+)\\*\n"));
  for (const auto& name : subcommands()) {
    const auto page = read(REDISMUTEX_MAN_PAGES "/redismutex-" + name + ".1");
    EXPECT_THAT(page, ::testing::HasSubstr(".TH \"redismutex-" + name + "\" \"1\"")) << name;
  }
}

TEST(ManPages, HaveTheOptionsOfTheParser) {
  EXPECT_EQ(options_in_page(page_of("redismutex")), options_in_help(help_of({})));
  for (const auto& name : subcommands()) {
    EXPECT_THAT(options_in_help(help_of({name})), Contains("--help"));
    EXPECT_EQ(options_in_page(page_of("redismutex-" + name)), options_in_help(help_of({name}))) << name;
  }
}

TEST(ManPages, HaveTheExitStatusesOfTheHelp) {
  for (const auto& name : subcommands()) {
    const auto help = help_of({name});
    const auto in_help =
        matches(help.substr(std::min(help.size(), help.find("\nExit status"))), "(?:^|[ \n])([0-9]+)  ");
    const auto in_page = matches(part(page_of("redismutex-" + name), "# EXIT STATUS", "\n# "), "(?:^|[ \n])([0-9]+)  ");
    EXPECT_EQ(in_page, in_help) << name;
  }
  EXPECT_THAT(matches(part(page_of("redismutex-run"), "# EXIT STATUS", "\n# "), "(?:^|[ \n])([0-9]+)  "),
              ::testing::IsSupersetOf({"64", "69", "70", "75", "77", "79", "126", "127"}));
}

TEST(Completions, HaveTheOptionsOfTheParser) {
  EXPECT_EQ(completions_of({}, ""), subcommands());
  EXPECT_EQ(completions_of({}, "--"), (Names{"--help", "--version"}));
  for (const auto& name : subcommands()) {
    EXPECT_EQ(completions_of({name}, "-"), options_in_help(help_of({name}))) << name;
  }
}

}  // namespace
}  // namespace redismutex::testing
