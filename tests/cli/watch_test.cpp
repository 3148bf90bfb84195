// `redismutex watch` shows locks as they change, and leaves the terminal as it was, however it ends.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <sstream>

#include "on_call.hpp"
#include "terminal.hpp"

namespace redismutex::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// A terminal in tmux, with a shell in it.
class Tmux {
 public:
  Tmux(const std::string& directory, const std::vector<std::string>& environment) : socket_{directory + "/tmux"} {
    std::vector<std::string> words{"-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "20"};
    for (const auto& variable : environment) words.insert(words.end(), {"-e", variable});
    words.insert(words.end(), {"sh"});
    EXPECT_EQ(run(words).status, exited(0));
  }
  ~Tmux() { (void)run({"kill-server"}); }
  Tmux(const Tmux&) = delete;
  Tmux& operator=(const Tmux&) = delete;

  void type(const std::vector<std::string>& keys) const {
    std::vector<std::string> words{"send-keys"};
    words.insert(words.end(), keys.begin(), keys.end());
    EXPECT_EQ(run(words).status, exited(0));
  }

  std::string screen() const { return run({"capture-pane", "-p"}).out; }

  /// Whether the text appears.
  bool shows(const std::string& text) const {
    return eventually(limit, [&] { return screen().find(text) != std::string::npos; });
  }

  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::istringstream text{screen()};
    for (std::string line; std::getline(text, line);) all.push_back(line);
    return all;
  }

  void resize(int columns, int rows) const {
    EXPECT_EQ(run({"resize-window", "-x", std::to_string(columns), "-y", std::to_string(rows)}).status, exited(0));
  }

  /// The screen that is drawn on, and whether the cursor is seen.
  std::string state() const { return run({"display-message", "-p", "#{alternate_on} #{cursor_flag}"}).out; }

 private:
  Result run(const std::vector<std::string>& words) const {
    Program program{.arguments = {"tmux", "-S", socket_}};
    program.arguments.insert(program.arguments.end(), words.begin(), words.end());
    return result_of(ChildProcess(program));
  }

  std::string socket_;
};

class WatchTest : public ::testing::Test, protected OnCall {
 protected:
  /// What stty(1) says of the terminal.
  std::string modes(const Tmux& tmux) {
    notes.write("modes", "");
    tmux.type({"stty -g >$DIR/modes", "Enter"});
    EXPECT_TRUE(notes.appears("modes"));
    return notes.read("modes");
  }

  std::vector<std::string> environment() const {
    return {"REDIS_URL=" + server.url(), notes.variable(), std::string{"REDISMUTEX="} + REDISMUTEX_COMMAND};
  }
};

TEST_F(WatchTest, ShowsAndBreaks) {
  const auto inside = holder("k");
  const auto next = start({"run", "k", "sh", "-c", "echo x >$DIR/next; sleep 60"});
  ASSERT_TRUE(eventually(limit, [&] { return waiting("k") == 1; }));
  const Tmux tmux{notes.directory(), environment()};
  tmux.type({"$REDISMUTEX watch -n 0.1 k other", "Enter"});
  ASSERT_TRUE(tmux.shows("HANDOVERS")) << tmux.screen();
  EXPECT_THAT(tmux.screen(),
              AllOf(HasSubstr("primary"), HasSubstr("clients"), HasSubstr("memory"), HasSubstr("2 mutexes")));
  tmux.type({"/", "k", "Enter"});
  EXPECT_TRUE(tmux.shows("1 mutex ")) << tmux.screen();
  tmux.type({"s"});
  EXPECT_TRUE(tmux.shows("sorted by wait"));
  tmux.type({"p"});
  EXPECT_TRUE(tmux.shows("PAUSED"));
  tmux.type({"p"});
  tmux.type({"Enter"});
  EXPECT_TRUE(tmux.shows("1 waits for it")) << tmux.screen();
  tmux.type({"x"});
  tmux.type({"?"});
  EXPECT_TRUE(tmux.shows("any key: back"));
  tmux.type({"x", "b"});
  EXPECT_TRUE(tmux.shows("break 'k'? two may be inside until its holder stops [y/N]"));
  tmux.type({"n"});
  EXPECT_TRUE(tmux.shows("nothing was done"));
  tmux.type({"b"});
  EXPECT_TRUE(tmux.shows("break 'k'? two may be inside until its holder stops [y/N]"));
  tmux.type({"y"});
  EXPECT_TRUE(tmux.shows("was taken from")) << tmux.screen();
  EXPECT_EQ(inside.wait(limit), exited(79));
  EXPECT_TRUE(notes.appears("next"));
  EXPECT_TRUE(tmux.shows("hand-overs seen: 1")) << tmux.screen();
}

// By q, by signals and in a crash.
TEST_F(WatchTest, LeavesTheTerminalAsItWas) {
  const Tmux tmux{notes.directory(), environment()};
  const auto modes_before = modes(tmux);
  const auto state_before = tmux.state();
  for (const std::string end : {"q", "TERM", "HUP", "INT", "SEGV", "ABRT"}) {
    tmux.type({"clear; echo so it was before " + end, "Enter"});
    ASSERT_TRUE(tmux.shows("so it was before " + end));
    notes.write("pid", "");
    tmux.type({"sh -c 'echo $$ >$DIR/pid; exec $REDISMUTEX watch k'", "Enter"});
    ASSERT_TRUE(tmux.shows("q quit")) << tmux.screen();
    EXPECT_NE(tmux.state(), state_before);
    const pid_t pid = std::stoi(notes.read("pid"));
    if (end == "q") {
      tmux.type({"q"});
    } else {
      (void)result_of(ChildProcess(Program{.arguments = {"sh", "-c", "kill -" + end + " " + std::to_string(pid)}}));
    }
    ASSERT_TRUE(eventually(limit, [&] { return !alive(pid); })) << end;
    EXPECT_TRUE(eventually(limit, [&] { return tmux.state() == state_before; })) << end << ": " << tmux.state();
    EXPECT_TRUE(tmux.shows("so it was before " + end)) << tmux.screen();
    EXPECT_THAT(tmux.screen(), Not(HasSubstr("q quit")));
    EXPECT_EQ(modes(tmux), modes_before) << end;
  }
}

TEST_F(WatchTest, ItsStatusSaysHowItEnded) {
  const Tmux tmux{notes.directory(), environment()};
  for (const auto& [key, status] : {std::pair{"q", "0"}, std::pair{"C-c", "130"}}) {
    notes.write("status", "");
    tmux.type({"$REDISMUTEX watch k; echo $? >$DIR/status", "Enter"});
    ASSERT_TRUE(tmux.shows("q quit")) << tmux.screen();
    tmux.type({key});
    EXPECT_TRUE(notes.appears("status"));
    EXPECT_EQ(notes.read("status"), std::string{status} + "\n");
  }
}

// The first and the last line are where they belong, in each size.
TEST_F(WatchTest, IsDrawnAnewForAnotherSize) {
  const auto inside = holder("k");
  const Tmux tmux{notes.directory(), environment()};
  tmux.type({"$REDISMUTEX watch -n 3600 k", "Enter"});
  ASSERT_TRUE(tmux.shows("q quit")) << tmux.screen();
  for (const auto& [columns, rows] : {std::pair{70, 8}, std::pair{130, 30}, std::pair{40, 5}}) {
    tmux.resize(columns, rows);
    EXPECT_TRUE(eventually(limit,
                           [&, rows = rows] {
                             const auto lines = tmux.lines();
                             return lines.size() == static_cast<std::size_t>(rows) &&
                                    lines.front().starts_with("redismutex watch") &&
                                    lines.back().starts_with("j/k move") && lines.at(3).starts_with("KEY ");
                           }))
        << columns << " x " << rows << ":\n"
        << tmux.screen();
  }
}

// What is asked can be read, and what matters most stands in the table, in 80 columns.
TEST_F(WatchTest, FitsInto80Columns) {
  const std::string key = "import:" + std::string(60, 'x') + ":2026-11-30";
  const auto inside = holder(key);
  const Tmux tmux{notes.directory(), environment()};
  tmux.resize(80, 12);
  tmux.type({"$REDISMUTEX watch -n 3600 " + key, "Enter"});
  ASSERT_TRUE(tmux.shows("q quit")) << tmux.screen();
  EXPECT_THAT(tmux.lines().at(3), AllOf(::testing::StartsWith("KEY "), HasSubstr("LONGEST"), Not(HasSubstr("TOKEN"))));
  EXPECT_THAT(tmux.lines().at(4), ::testing::ContainsRegex("^import:x*\\.\\.\\.x*.*-11-30 "));
  tmux.type({"b"});
  EXPECT_TRUE(tmux.shows("'? two may be inside until its holder stops [y/N]")) << tmux.screen();
  EXPECT_THAT(tmux.lines().back(), ::testing::StartsWith("break 'import:"));
}

// A look that nobody answers takes 2 s to fail, and then the next one begins: keys that wait for looks would take 10 s.
TEST_F(WatchTest, AnswersKeysWhileTheServerIsSilent) {
  const auto inside = holder("k");
  const Tmux tmux{notes.directory(), environment()};
  tmux.type({"$REDISMUTEX watch -n 0.1 k; echo $? >$DIR/status", "Enter"});
  ASSERT_TRUE(tmux.shows("q quit")) << tmux.screen();
  server.pause();
  EXPECT_TRUE(tmux.shows("answer")) << tmux.screen();
  const auto began = std::chrono::steady_clock::now();
  tmux.type({"?"});
  EXPECT_TRUE(tmux.shows("any key: back")) << tmux.screen();
  tmux.type({"x", "Enter"});
  EXPECT_TRUE(tmux.shows("held by ")) << tmux.screen();
  tmux.type({"b"});
  EXPECT_TRUE(tmux.shows("break 'k'? two may be inside until its holder stops [y/N]")) << tmux.screen();
  tmux.type({"y", "q"});
  EXPECT_TRUE(notes.appears("status")) << tmux.screen();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds{5});
  EXPECT_EQ(notes.read("status"), "0\n");
  server.resume();
}

// Owners that come and go between two looks: here nobody looks for an hour.
TEST_F(WatchTest, CountsHandOversBetweenTwoLooks) {
  const Tmux tmux{notes.directory(), environment()};
  tmux.type({"$REDISMUTEX watch -n 3600 k", "Enter"});
  ASSERT_TRUE(tmux.shows("hand-overs seen: 0")) << tmux.screen();
  const RedisMutex mutex{connection, {.blocking = false, .expiry = std::chrono::seconds{60}}};
  for (int i = 1; i <= 5; ++i) {
    auto lock = mutex.acquire_lock("k");
    EXPECT_TRUE(tmux.shows("hand-overs seen: " + std::to_string(i) + " ")) << tmux.screen();
    lock.release();
  }
}

// Without a terminal: a line for each change.
TEST_F(WatchTest, PrintsALineForEachChange) {
  const auto watch = start({"watch", "-n", "0.1"});
  const auto says = [&](const std::string& text) {
    return eventually(limit, [&] { return watch.stdout_text().find(text) != std::string::npos; });
  };
  const auto inside = holder("k");
  const auto next = waiter("k");
  EXPECT_TRUE(says(" k held by ")) << watch.stdout_text() << watch.stderr_text();
  EXPECT_THAT(watch.stdout_text(), Not(HasSubstr("\x1b")));
  EXPECT_EQ(run({"break", "--yes", "k"}).status, exited(0));
  EXPECT_TRUE(says(" -> free, 0 wait\n")) << watch.stdout_text();
}

// One that is new is not waited for: it is looked for as often as at the others.
TEST_F(WatchTest, FindsNewLocksSoon) {
  const auto watch = start({"watch", "-n", "0.1"});
  ASSERT_TRUE(eventually(limit, [&] { return server.command_calls()["scan"] > 0; }));
  const auto inside = holder("k");
  const auto sees = [&] { return watch.stdout_text().find(" k held by ") != std::string::npos; };
  EXPECT_TRUE(eventually(std::chrono::seconds{4}, sees)) << watch.stdout_text() << watch.stderr_text();
}

TEST_F(WatchTest, SaysThatThereAreMoreThanItWatches) {
  const RedisMutex mutex{connection, {.expiry = std::chrono::seconds{60}, .label = "many"}};
  std::vector<Lock> locks;
  for (int i = 0; i < 1003; ++i) locks.push_back(mutex.acquire_lock("m" + std::to_string(i)));
  const Tmux tmux{notes.directory(), environment()};
  tmux.type({"$REDISMUTEX watch -n 0.1", "Enter"});
  EXPECT_TRUE(tmux.shows("1,000 mutexes, and 3 that are not watched")) << tmux.screen();
  tmux.type({"/", "m1002", "Enter"});  // found, or not among the thousand: then not called free
  EXPECT_FALSE(tmux.screen().find("nothing is held") != std::string::npos) << tmux.screen();
  tmux.type({"q"});

  const auto lines = start({"watch", "-n", "0.1"});
  EXPECT_TRUE(eventually(limit, [&] { return lines.stderr_text().find("more mutexes than") != std::string::npos; }));
}

// As for programs, on a terminal too.
TEST_F(WatchTest, JsonIsALineForEachChangeEverywhere) {
  TerminalJob job{Program{.arguments = {REDISMUTEX_COMMAND, "watch", "--json", "-n", "3600", "k"},
                          .environment = {"REDIS_URL=" + server.url(), "TERM=xterm"}}};
  ASSERT_TRUE(eventually(limit, [&] {
    auto calls = server.command_calls();
    return calls["evalsha_ro"] + calls["evalsha"] > 5;
  }));
  const auto inside = holder("k");
  std::string output;
  EXPECT_TRUE(eventually(limit, [&] {
    output += job.output();
    return output.find("\"state\":\"held\"") != std::string::npos;
  })) << output;
  EXPECT_THAT(output, ::testing::StartsWith("{\"schema\":1,\"key\":\"k\","));
  job.type("\x03");
  EXPECT_EQ(job.next_event(), "killed by Interrupt");
}

// Nobody reads its lines any more: it need not write one to find that out.
TEST_F(WatchTest, EndsWithItsReader) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"watch", "k"}, {"status", "--watch=1h", "k"}, {"ls", "--watch=1h"}}) {
    std::string line = "$REDISMUTEX";
    for (const std::string& word : words) line += " " + word;
    const auto result = result_of(ChildProcess(
        Program{.arguments = {"bash", "-c", "{ " + line + "; echo $? >$DIR/status; } | true; cat $DIR/status"},
                .environment = environment()}));
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(result.out, "141\n") << line;
  }
}

// A terminal that curses does not know gets a message; one that can only print gets lines.
TEST_F(WatchTest, RefusesATerminalThatIsNotKnown) {
  TerminalJob job{Program{.arguments = {REDISMUTEX_COMMAND, "watch", "k"},
                          .environment = {"REDIS_URL=" + server.url(), "TERM=nosuch"}}};
  EXPECT_EQ(job.next_event(), "exit code 64");
  const std::string output = job.output();
  EXPECT_THAT(output, AllOf(HasSubstr("redismutex: watch: the terminal 'nosuch' is not known (TERM)"),
                            HasSubstr("TERM=xterm redismutex watch"), Not(HasSubstr("Error opening"))));
}

TEST_F(WatchTest, PrintsLinesOnATerminalThatCanDoNoMore) {
  TerminalJob job{Program{.arguments = {REDISMUTEX_COMMAND, "watch", "-n", "0.1", "k"},
                          .environment = {"REDIS_URL=" + server.url(), "TERM=dumb"}}};
  const auto inside = holder("k");
  std::string output;
  EXPECT_TRUE(eventually(limit, [&] {
    output += job.output();
    return output.find(" k held by ") != std::string::npos || output.find(" k free -> ") != std::string::npos;
  })) << output;
  job.type("\x03");
  EXPECT_EQ(job.next_event(), "killed by Interrupt");
  EXPECT_THAT(output + job.output(), Not(HasSubstr("\x1b")));
}

TEST_F(WatchTest, SaysWhatIsWrongBeforeThereIsAScreen) {
  EXPECT_EQ(run({"watch", "-n", "soon"}).status, exited(64));
  EXPECT_EQ(redismutex({"watch"}, {"REDIS_URL=unix:///nowhere/at/all"}).status, exited(69));
}

}  // namespace
}  // namespace redismutex::testing
