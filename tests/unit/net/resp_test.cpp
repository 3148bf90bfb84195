#include "net/resp.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "shown.hpp"
#include "support/allocations.hpp"

namespace redismutex::net {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// What was made of some bytes.
struct Parsing {
  std::vector<std::string> replies;
  std::string problem;

  bool operator==(const Parsing&) const = default;
};

void PrintTo(const Parsing& outcome, std::ostream* out) {
  for (const std::string& reply : outcome.replies) *out << reply << '\n';
  *out << "problem: " << outcome.problem;
}

void take(Resp& resp, Parsing& outcome) {
  while (const auto reply = resp.next()) {
    outcome.replies.push_back(shown(*reply));
    EXPECT_EQ(shown(*Reply{*reply}), outcome.replies.back());  // what is kept is the same
  }
  outcome.problem = resp.problem();
}

Parsing of_pieces(const std::vector<std::string_view>& pieces) {
  Resp resp;
  Parsing outcome;
  for (const std::string_view piece : pieces) {
    resp.feed(piece);
    take(resp, outcome);
  }
  return outcome;
}

Parsing byte_by_byte(std::string_view bytes) {
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; i < bytes.size(); ++i) pieces.push_back(bytes.substr(i, 1));
  return of_pieces(pieces);
}

/// The same, however the bytes are cut.
Parsing of(std::string_view bytes) {
  const Parsing whole = of_pieces({bytes});
  EXPECT_EQ(byte_by_byte(bytes), whole) << bytes;
  for (std::size_t i = 1; i < bytes.size(); ++i) {
    const Parsing halves = of_pieces({bytes.substr(0, i), bytes.substr(i)});
    EXPECT_EQ(halves, whole) << bytes << " cut at " << i;
    if (halves != whole) break;
  }
  return whole;
}

std::string problem_of(std::string_view bytes) { return of(bytes).problem; }

std::string text(const std::string& value) { return "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n"; }

std::string repeated(const std::string& what, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += what;
  return all;
}

// ---- what real servers sent -----------------------------------------------------------------------------------------

std::string unescaped(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes += text[i];
      continue;
    }
    switch (text.at(++i)) {
      case 'r': bytes += '\r'; break;
      case 'n': bytes += '\n'; break;
      case '\\': bytes += '\\'; break;
      default: bytes += static_cast<char>(std::stoi(std::string{text.substr(i + 1, 2)}, nullptr, 16)); i += 2;
    }
  }
  return bytes;
}

struct Recording {
  std::string command, bytes, reply;
};

std::vector<Recording> recordings(const std::filesystem::path& file) {
  std::vector<Recording> all;
  std::ifstream lines{file};
  for (std::string line; std::getline(lines, line);) {
    const std::string_view value = std::string_view{line}.substr(std::min(line.find(' ') + 1, line.size()));
    if (line.starts_with("command ")) all.push_back({.command = std::string{value}, .bytes = {}, .reply = {}});
    if (line.starts_with("bytes ")) all.back().bytes = unescaped(value);
    if (line.starts_with("reply ")) all.back().reply = unescaped(value);
  }
  return all;
}

// Servers of all families are understood: what they sent and what it means lies in files, of which replies/record made both,
// with a parser of its own.
TEST(Resp, UnderstandsWhatServersSend) {
  int servers = 0;
  for (const auto& file : std::filesystem::directory_iterator{REDISMUTEX_RECORDED_REPLIES}) {
    if (file.path().extension() != ".txt") continue;
    ++servers;
    SCOPED_TRACE(file.path().filename());
    std::string stream;
    Parsing all;
    for (const Recording& recording : recordings(file.path())) {
      EXPECT_EQ(of(recording.bytes), (Parsing{{recording.reply}, ""})) << recording.command;
      stream += recording.bytes;
      all.replies.push_back(recording.reply);
    }
    EXPECT_GT(all.replies.size(), 70U);
    EXPECT_EQ(of_pieces({stream}), all);
    EXPECT_EQ(byte_by_byte(stream), all);
  }
  EXPECT_EQ(servers, 4);
}

// ---- each type ------------------------------------------------------------------------------------------------------

TEST(Resp, ReadsEachType) {
  for (const auto& [bytes, reply] : {
           std::pair{"+OK\r\n"s, "+OK"s},
           {"+\r\n", "+"},
           {"-ERR no\r\n", "-ERR no"},
           {"!6\r\nERR\r\nx\r\n", "-ERR\r\nx"},
           {":0\r\n", "0"},
           {":-1\r\n", "-1"},
           {":9223372036854775807\r\n", "9223372036854775807"},
           {":-9223372036854775808\r\n", "-9223372036854775808"},
           {"$0\r\n\r\n", "''"},
           {"$4\r\n\r\n\r\n\r\n", "'\r\n\r\n'"},
           {"$-1\r\n", "nil"},
           {"*-1\r\n", "nil"},
           {"_\r\n", "nil"},
           {"*0\r\n", "[]"},
           {"*2\r\n*0\r\n*1\r\n:7\r\n", "[[] [7]]"},
           {"~1\r\n+a\r\n", "set(+a)"},
           {"%0\r\n", "{}"},
           {"%1\r\n+a\r\n*2\r\n:1\r\n:2\r\n", "{+a [1 2]}"},
           {">0\r\n", "push()"},
           {">2\r\n+a\r\n_\r\n", "push(+a nil)"},
           {"#t\r\n", "true"},
           {"#f\r\n", "false"},
           {",3\r\n", ",3"},
           {",-1.5\r\n", ",-1.5"},
           {",1.5e-7\r\n", ",1.5e-7"},
           {",1E+20\r\n", ",1E+20"},
           {",inf\r\n", ",inf"},
           {",-inf\r\n", ",-inf"},
           {",nan\r\n", ",nan"},
           {",-nan\r\n", ",-nan"},
           {"(-12345678901234567890\r\n", "(-12345678901234567890"},
           {"=4\r\ntxt:\r\n", "="},
           {"=8\r\nmkd:# hi\r\n", "=# hi"},
       }) {
    EXPECT_EQ(of(bytes), (Parsing{{reply}, ""})) << bytes;
  }
}

// Nothing that is not sent with a value comes out of it, whatever is asked.
TEST(Resp, AValueHasNothingOfAnotherType) {
  Resp resp;
  resp.feed("*6\r\n:5\r\n+five\r\n_\r\n#t\r\n%1\r\n+a\r\n:1\r\n,1.5\r\n");
  const ReplyView list = *resp.next();
  ASSERT_EQ(list.size(), 6U);
  EXPECT_EQ(list.integer(), 0);
  EXPECT_EQ(list.text(), "");
  EXPECT_EQ(list[0].text(), "");
  EXPECT_EQ(list[0].size(), 0U);
  EXPECT_EQ(list[0].begin(), list[0].end());
  EXPECT_EQ(list[1].integer(), 0);
  EXPECT_EQ(list[2].integer(), 0);
  EXPECT_EQ(list[2].text(), "");
  EXPECT_EQ(list[3].integer(), 1);
  EXPECT_EQ(list[4].size(), 2U);
  EXPECT_EQ(list[4].integer(), 0);
  EXPECT_EQ(list[4][1].integer(), 1);
  EXPECT_EQ(list[5].text(), "1.5");
  EXPECT_EQ(list[5].integer(), 0);
}

// What a server says of a value in an attribute is left out, wherever it stands.
TEST(Resp, DropsAttributes) {
  for (const auto& [bytes, reply] : {
           std::pair{"|1\r\n+a\r\n*2\r\n:1\r\n:2\r\n+OK\r\n"s, "+OK"s},
           {"|0\r\n:1\r\n", "1"},
           {"|1\r\n+a\r\n:1\r\n|1\r\n+b\r\n:2\r\n:3\r\n", "3"},
           {"*2\r\n|1\r\n+a\r\n:1\r\n:2\r\n|1\r\n+a\r\n:1\r\n+b\r\n", "[2 +b]"},
           {"*1\r\n|1\r\n+a\r\n:1\r\n*0\r\n", "[[]]"},
           {"|1\r\n|1\r\n+a\r\n:1\r\n+b\r\n:2\r\n*1\r\n:3\r\n", "[3]"},
           {"|1\r\n+a\r\n:1\r\n>1\r\n+b\r\n", "push(+b)"},
       }) {
    EXPECT_EQ(of(bytes), (Parsing{{reply}, ""})) << bytes;
  }
  EXPECT_EQ(of("|1\r\n+a\r\n:1\r\n"), Parsing{});  // the value is still to come
}

// ---- what is no reply -----------------------------------------------------------------------------------------------

TEST(Resp, SaysWhatIsWrong) {
  for (const auto& [bytes, problem] : {
           std::pair{"HTTP/1.1 400 Bad Request\r\n"s, "got \"H\" where a reply begins"s},
           {"\x15\x03\x01"s, "got \"\\x15\" where a reply begins"},
           {"\0"s, "got \"\\x00\" where a reply begins"},
           {"\xff"s, "got \"\\xff\" where a reply begins"},
           {"\r\n", "got \"\\x0d\" where a reply begins"},
           {" ", "got \"\\x20\" where a reply begins"},
           {";4\r\n", "got \";\" where a reply begins"},
           {".\r\n", "got \".\" where a reply begins"},
           {"*1\r\nx", "got \"x\" where a reply begins"},
           {"+OK\n", "a line that does not end in CR LF"},
           {"+O\rK\r\n", "a line that does not end in CR LF"},
           {"+O\nK\r\n", "a line that does not end in CR LF"},
           {"+OK\r\r\n", "a line that does not end in CR LF"},
           {":1\n", "a line that does not end in CR LF"},
           {":\n", "a line that does not end in CR LF"},
           {"$1\nx\r\n", "a line that does not end in CR LF"},
           {":\r\n", "an integer that is no number of 64 bits"},
           {":-\r\n", "an integer that is no number of 64 bits"},
           {":+1\r\n", "an integer that is no number of 64 bits"},
           {": 1\r\n", "an integer that is no number of 64 bits"},
           {":1x\r\n", "an integer that is no number of 64 bits"},
           {":01\r\n", "an integer that is no number of 64 bits"},
           {":-0\r\n", "an integer that is no number of 64 bits"},
           {":1.5\r\n", "an integer that is no number of 64 bits"},
           {":9223372036854775808\r\n", "an integer that is no number of 64 bits"},
           {":-9223372036854775809\r\n", "an integer that is no number of 64 bits"},
           {":" + repeated("1", 30), "an integer that is no number of 64 bits"},
           {"$abc\r\n", "the length of a string is no number"},
           {"$\r\n", "the length of a string is no number"},
           {"$+1\r\n", "the length of a string is no number"},
           {"$99999999999999999999\r\n", "the length of a string is no number"},
           {"$" + repeated("9", 40), "the length of a string is no number"},
           {"$-2\r\n", "the length of a string is less than nothing"},
           {"*-2\r\n", "the length of an array is less than nothing"},
           {"*x\r\n", "the length of an array is no number"},
           {"=-1\r\n", "the length of a string is less than nothing"},
           {"!-1\r\n", "the length of an error is less than nothing"},
           {"%-1\r\n", "the length of a map is less than nothing"},
           {"~-1\r\n", "the length of a set is less than nothing"},
           {">-1\r\n", "the length of a push is less than nothing"},
           {"|-1\r\n", "the length of an attribute is less than nothing"},
           {"$?\r\n;1\r\na\r\n;0\r\n", "a string whose length is told later, which no server sends"},
           {"*?\r\n.\r\n", "an array whose length is told later, which no server sends"},
           {"%?\r\n.\r\n", "a map whose length is told later, which no server sends"},
           {"$1\r\nabc\r\n", "a string of another length than was said"},
           {"$3\r\nab\r\n\r\n", "a string of another length than was said"},
           {"$1\r\na\n\r", "a string of another length than was said"},
           {"!1\r\nabc\r\n", "an error of another length than was said"},
           {"=3\r\ntxt\r\n", "a verbatim string that does not say of what format it is"},
           {"=5\r\nabcde\r\n", "a verbatim string that does not say of what format it is"},
           {"_x\r\n", "a null with a value"},
           {"_" + repeated("x", 30), "a null with a value"},
           {"#\r\n", "a boolean that is neither true nor false"},
           {"#true\r\n", "a boolean that is neither true nor false"},
           {",\r\n", "a fraction that is no number"},
           {",1.\r\n", "a fraction that is no number"},
           {",.5\r\n", "a fraction that is no number"},
           {",1e\r\n", "a fraction that is no number"},
           {",1e5x\r\n", "a fraction that is no number"},
           {",infinity\r\n", "a fraction that is no number"},
           {",0x10\r\n", "a fraction that is no number"},
           {"(\r\n", "a big number that is no number"},
           {"(1.5\r\n", "a big number that is no number"},
           {"*1\r\n>1\r\n+a\r\n", "a push within a reply"},
           {"|1\r\n+a\r\n>1\r\n", "a push within a reply"},
       }) {
    EXPECT_EQ(problem_of(bytes), "not the protocol of a Redis server: " + problem) << bytes;
    // What was complete before comes first, and nothing comes after.
    const Parsing between = of("+before\r\n" + bytes + "\r\n+after\r\n");
    EXPECT_THAT(between.replies, ElementsAre("+before")) << bytes;
    EXPECT_EQ(between.problem, "not the protocol of a Redis server: " + problem) << bytes;
  }
}

// A beginning is no reply yet, and nothing wrong.
TEST(Resp, WaitsForTheRest) {
  const std::string whole = "%1\r\n$3\r\nkey\r\n*3\r\n:-12\r\n,1.5\r\n#t\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_EQ(of(whole.substr(0, size)), Parsing{}) << size;
}

// ---- limits ---------------------------------------------------------------------------------------------------------

constexpr const char* too_large = "a reply of more than 16777216 bytes";

/// In pieces as large as the library reads.
Parsing of_reads(std::string_view bytes) {
  std::vector<std::string_view> pieces;
  for (; !bytes.empty(); bytes.remove_prefix(std::min<std::size_t>(bytes.size(), 16 * 1024))) {
    pieces.push_back(bytes.substr(0, 16 * 1024));
  }
  return of_pieces(pieces);
}

// A reply may have as many bytes as the limit says, and not one more; whatever it consists of.
TEST(Resp, LimitsTheSizeOfAReply) {
  const auto bulk = [](std::size_t size) { return text(std::string(size - 13, 'x')); };
  const auto line = [](std::size_t size) { return "+" + std::string(size - 3, 'x') + "\r\n"; };
  const auto list = [&](std::size_t size) {
    const std::string head = "*3\r\n" + bulk(size / 2) + ":1\r\n";
    return head + line(size - head.size());
  };
  ASSERT_EQ(bulk(Resp::max_size).size(), Resp::max_size);
  ASSERT_EQ(list(Resp::max_size).size(), Resp::max_size);
  for (const std::string& reply : {bulk(Resp::max_size), line(Resp::max_size), list(Resp::max_size)}) {
    const Parsing outcome = of_reads(reply);
    EXPECT_EQ(outcome.problem, "");
    EXPECT_EQ(outcome.replies.size(), 1U);
  }
  for (const std::string& reply : {bulk(Resp::max_size + 1), line(Resp::max_size + 1), list(Resp::max_size + 1)}) {
    EXPECT_EQ(of_reads(reply), (Parsing{{}, too_large}));
  }
  // The limit is of one reply: many may follow each other.
  EXPECT_EQ(of_reads(repeated(bulk(Resp::max_size / 2), 5)).replies.size(), 5U);
}

// The longest that we ask for: the map of a cluster in which each slot is alone.
TEST(Resp, LetsALongMapOfAClusterPass) {
  const std::string server = "*4\r\n$15\r\n100.100.100.100\r\n:16379\r\n" + text(std::string(40, 'f')) +
                             "*2\r\n$8\r\nhostname\r\n" + text(std::string(60, 'h'));
  const std::string map = "*16384\r\n" + repeated("*5\r\n:16383\r\n:16383\r\n" + repeated(server, 3), 16384);
  const Parsing outcome = of_reads(map);
  EXPECT_EQ(outcome.problem, "");
  EXPECT_EQ(outcome.replies.size(), 1U);
}

// What would be too large is refused when it is announced, and a line without an end when it can not end in time.
TEST(Resp, RefusesLargeRepliesEarly) {
  EXPECT_EQ(problem_of("$16777216\r\n"), too_large);
  EXPECT_EQ(problem_of("$9223372036854775807\r\n"), too_large);
  EXPECT_EQ(problem_of("=20000000\r\n"), too_large);
  EXPECT_EQ(of_reads("+" + std::string(Resp::max_size - 1, 'x')).problem, too_large);
  EXPECT_EQ(of_reads("*2\r\n$16777190\r\n" + std::string(16777190, 'x') + "\r\n:123456789").problem, too_large);
}

TEST(Resp, LimitsTheElementsOfAList) {
  constexpr const char* too_many = "a reply in which a list has more than 16384 elements";
  for (const std::string sign : {"*", "~", ">", "%"}) {
    EXPECT_EQ(of_reads(sign + "16384\r\n" + repeated(":1\r\n", sign == "%" ? 2 * 16384 : 16384)).problem, "") << sign;
    EXPECT_EQ(problem_of(sign + "16385\r\n"), too_many) << sign;
    EXPECT_EQ(problem_of(sign + "9223372036854775807\r\n"), too_many) << sign;
  }
  EXPECT_EQ(problem_of("|16385\r\n"), too_many);
  EXPECT_EQ(problem_of("*2\r\n*0\r\n*16385\r\n"), too_many);
}

// Small values in lists of lists take many times as much memory as they have bytes.
TEST(Resp, LimitsTheValuesOfAReply) {
  const auto nulls = [](std::size_t lists) {
    return "*" + std::to_string(lists) + "\r\n" + repeated("*16384\r\n" + repeated("_\r\n", 16384), lists);
  };
  EXPECT_EQ(of_reads(nulls(31)).problem, "");
  EXPECT_EQ(of_reads(nulls(31) + nulls(31)).replies.size(), 2U) << "the limit is of one reply";
  EXPECT_EQ(of_reads(nulls(32)), (Parsing{{}, "a reply of more than 524288 values"}));
}

TEST(Resp, LimitsTheDepthOfLists) {
  constexpr const char* too_deep = "a reply of more than 16 levels";
  for (const std::string level : {"*1\r\n", "%1\r\n+a\r\n", "~1\r\n", "|1\r\n+a\r\n"}) {
    const std::size_t values = level.front() == '|' ? 16 : 0;  // of the attributes
    const Parsing deep = of(repeated(level, 16) + ":1\r\n" + repeated(":1\r\n", values));
    EXPECT_EQ(deep.problem, "") << level;
    EXPECT_EQ(deep.replies.size(), 1U) << level;
    EXPECT_EQ(problem_of(repeated(level, 16) + level), too_deep) << level;
  }
  EXPECT_EQ(problem_of(repeated("*1\r\n", 16) + "*0\r\n"), too_deep);
  // Depth is not length: a level is free again behind its end.
  EXPECT_EQ(of("*3\r\n" + repeated(repeated("*1\r\n", 15) + ":1\r\n", 3)).problem, "");
}

// ---- replies that are kept ------------------------------------------------------------------------------------------

Reply kept(std::string_view bytes) {
  Resp resp;
  resp.feed(bytes);
  const auto reply = resp.next();
  if (!reply) throw std::logic_error{"not a whole reply"};
  return Reply{*reply};
}

// A reply that is kept outlives the bytes it was made of, and goes where it is moved; also one that is too large for its own
// room, in nodes, in text, or in both.
TEST(Reply, IsKeptAndMoved) {
  const std::string small = "*2\r\n:1\r\n" + text("short");
  const std::string long_text = text(std::string(500, 'x'));
  const std::string many = "*20\r\n" + repeated(":1\r\n", 20);
  const std::string large = "*20\r\n" + repeated(text("some words of text"), 20);
  for (const std::string& bytes : {small, long_text, many, large, "*0\r\n"s, "_\r\n"s}) {
    const std::string expected = of(bytes).replies.at(0);
    Reply first = kept(bytes);
    EXPECT_EQ(shown(*first), expected);
    Reply second{std::move(first)};
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is what is asked
    EXPECT_EQ(shown(*second), expected);
    for (const std::string& before : {small, long_text, many, large}) {
      Reply third = kept(before);
      third = std::move(second);
      EXPECT_EQ(shown(*third), expected) << before;
      second = std::move(third);
    }
  }
  EXPECT_FALSE(Reply{});
}

TEST(Reply, OfOneElementIsKeptWithoutTheOthers) {
  Resp resp;
  resp.feed("*3\r\n" + text(std::string(500, 'x')) + "*2\r\n+inner\r\n:2\r\n:3\r\n");
  const Reply inner{(*resp.next())[1]};
  EXPECT_EQ(shown(*inner), "[+inner 2]");
}

// ---- memory ---------------------------------------------------------------------------------------------------------

// Small replies cost no memory, once there was one: not to be parsed, not to be kept, not to be moved.
TEST(Resp, AllocatesNothingForSmallReplies) {
  Resp resp;
  const std::string replies = "+OK\r\n:1\r\n_\r\n*3\r\n:0\r\n:1795880631327130\r\n:0\r\n" +
                              text("00000a1b-0000-4000-8000-000000000001") +
                              ">3\r\n$8\r\nsmessage\r\n$7\r\nchannel\r\n$40\r\n" + std::string(40, 'x') + "\r\n";
  const auto take_all = [&](std::size_t piece) {
    std::size_t count = 0;
    for (std::size_t at = 0; at < replies.size(); at += piece) {
      resp.feed(std::string_view{replies}.substr(at, piece));
      while (const auto reply = resp.next()) {
        Reply mine{*reply};
        const Reply moved{std::move(mine)};
        if ((*moved).type() == reply->type()) ++count;
      }
    }
    return count;
  };
  take_all(replies.size());
  const auto before = redismutex::testing::allocations();
  for (const std::size_t piece : {replies.size(), std::size_t{1}, std::size_t{7}}) EXPECT_EQ(take_all(piece), 6U);
  EXPECT_EQ(redismutex::testing::allocations(), before);
  // The count counts.
  const auto memory = std::make_unique<int>(1);
  EXPECT_EQ(redismutex::testing::allocations(), before + 1);
}

// A large reply costs as much as it is large for, and not a block of memory for each of its values.
TEST(Resp, AllocatesSeldomForLargeReplies) {
  Resp resp;
  const std::string large = "*1000\r\n" + repeated(text("some words of text that need room of their own"), 1000);
  const auto before = redismutex::testing::allocations();
  resp.feed(large);
  const auto reply = resp.next();
  ASSERT_TRUE(reply);
  const Reply mine{*reply};
  EXPECT_LT(redismutex::testing::allocations(), before + 20);
  EXPECT_EQ((*mine).size(), 1000U);
}

}  // namespace
}  // namespace redismutex::net
