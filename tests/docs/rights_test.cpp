// The rights that README.md tells administrators to give are enough, and the server finds nothing to refuse.

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <redismutex/redismutex.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

/// The words in backticks, span by span, of the paragraph that begins with `beginning`.
std::vector<std::vector<std::string>> code_spans(const std::string& beginning) {
  std::ostringstream page;
  page << std::ifstream(REDISMUTEX_README).rdbuf();
  const auto text = page.str();
  const auto begin = text.find(beginning);
  if (begin == std::string::npos) return {};
  std::istringstream paragraph(text.substr(begin, text.find("\n\n", begin) - begin));
  std::vector<std::vector<std::string>> spans;
  for (std::string prose, code; std::getline(paragraph, prose, '`') && std::getline(paragraph, code, '`');) {
    std::istringstream words(code);
    auto& span = spans.emplace_back();
    for (std::string word; words >> word;) span.push_back(word);
  }
  return spans;
}

bool is_right(const std::string& word) {
  return word.starts_with('+') || word.starts_with('~') || word.starts_with('&');
}

TEST(Rights, AreEnough) {
  Server server({.users = {"alice on >secret -@all ~lock:*"}});
  const auto give = [&](const std::string& right) {
    return server.command({"ACL", "SETUSER", "alice", right}).text == "OK";
  };
  int given = 0;
  for (const auto& span : code_spans("The user needs these rights")) {
    // A list must be understood by every server; a single right may be for those that know it.
    const bool for_all = span.size() > 1;
    for (const auto& word : span) {
      if (!is_right(word) || word == "~KEYS") continue;
      EXPECT_TRUE(give(word) || !for_all) << word << " is not known to this server";
      ++given;
    }
  }
  ASSERT_GT(given, 5) << "the paragraph is not where it was";

  const Connection connection{"unix://alice:secret@" + server.socket_path() + "?db=1"};
  connection.ping();
  const RedisMutex mutex{connection, {.block_time = 100ms, .delay = 5ms}};
  auto lock = mutex.acquire_lock("lock:key");
  EXPECT_FALSE(mutex.try_acquire_lock("lock:key"));
  EXPECT_THROW((void)mutex.acquire_lock("lock:key"), BlockTimeExceedError);
  lock.extend();
  lock.release();
  for (const auto& refusal : server.command({"ACL", "LOG"}).elements) {
    for (const auto& field : refusal.elements) ADD_FAILURE() << "refused: " << field.text;
  }
}

}  // namespace
}  // namespace redismutex::testing
