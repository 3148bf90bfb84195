#include "memory/server.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "memory/sha1.hpp"
#include "protocol/script.hpp"
#include "sim/effect.hpp"
#include "sim/questions.hpp"
#include "sim/sides.hpp"

// The simulated server is worth as much as it is like a real one: the same commands, drawn at random, get the same answers
// and the same pushes from both. So is the one that memory: leads to, which is the same server behind a connection.
namespace redismutex::sim {
namespace {

using namespace std::chrono_literals;

/// Asks both, and keeps in mind what was asked, for the message.
class Comparison {
 public:
  /// Of a real server with one of ours.
  Comparison(std::uint64_t seed, Real& real, Side& ours) : real_{real}, ours_{ours}, questions_{seed} {}

  void ask_much() {
    for (int i = 0; i < 10'000 && !::testing::Test::HasFailure(); ++i) ask_something();
  }

 private:
  void ask_something() {
    const auto commands =
        questions_.chance(50'000) ? questions_.draw_transaction() : std::vector<Command>{questions_.draw()};
    // CACHING outlasts another CLIENT.
    const bool caching = commands.front().front() != "CLIENT" && questions_.chance(500'000);
    ask(questions_.connection(), commands, caching);
    if (!is_short_lived(commands.front())) return;
    // What expires in a millisecond is waited for, and looked at: that is when a server notices.
    std::this_thread::sleep_for(3ms);
    ask(0, {{"EXISTS", commands.front()[1]}}, false);
  }

  void ask(int connection, const std::vector<Command>& commands, bool caching) {
    for (const Command& command : commands) note(connection, command, caching);
    Effect real = real_.ask(connection, commands, caching);
    Effect ours = ours_.ask(connection, commands, caching);
    expect_alike("answers", Value::array(real.replies), Value::array(ours.replies));
    for (int i = 0; i < Side::connections; ++i) {
      forget_times(real.pushes[i]);
      forget_times(ours.pushes[i]);
      expect_alike("pushes to " + std::to_string(i), Value::push(real.pushes[i]), Value::push(ours.pushes[i]));
    }
  }

  void note(int connection, const Command& command, bool caching) {
    std::string text = std::to_string(connection) + (caching ? " (caching)" : "");
    for (const std::string& argument : command) text += " " + argument.substr(0, 60);
    asked_.push_back(std::move(text));
  }

  void expect_alike(const std::string& what, const Value& real, const Value& ours) const {
    EXPECT_TRUE(alike(real, ours)) << what << "\n real: " << shown(real) << "\n ours: " << shown(ours) << "\nafter\n"
                                   << last_asked();
  }

  std::string last_asked() const {
    std::string text;
    for (std::size_t i = asked_.size() - std::min<std::size_t>(asked_.size(), 40); i < asked_.size(); ++i) {
      text += "  " + asked_[i] + "\n";
    }
    return text;
  }

  Real& real_;
  Side& ours_;
  Questions questions_;
  std::vector<std::string> asked_;
};

// Whatever is asked, in whatever order.
template <class Ours>
void compare() {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Real real;
  Ours ours{real.conduct()};
  Comparison{seed, real, ours}.ask_much();
}

TEST(SimulatedServer, AnswersAsARealOneDoes) { compare<Simulated>(); }

TEST(MemoryServer, AnswersAsARealOneDoes) { compare<InMemory>(); }

TEST(SimulatedServer, KnowsAScriptByItsDigest) {
  for (const protocol::Script* script : protocol::scripts::all) EXPECT_EQ(memory::sha1(script->source), script->sha1);
}

}  // namespace
}  // namespace redismutex::sim
