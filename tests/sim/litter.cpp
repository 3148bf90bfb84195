#include "sim/litter.hpp"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace redismutex::sim {
namespace {

constexpr std::int64_t apart_us = 4'000'000'000'000'000;
constexpr std::int64_t second = 1'000'000;

class Litterer {
 public:
  Litterer(World& world, const protocol::Key& key) : world_{world}, key_{key} {}

  void litter() {
    switch (world_.random.below(9)) {
      case 0: replace_line(); break;
      case 1: delete_line(); break;
      case 2: add_rubbish(); break;
      case 3: add_newer_version(); break;
      case 4: add_dead(); break;
      case 5: add_absent(); break;
      case 6: add_halves(); break;
      case 7:
        by_hand({"SET", std::string{key_.floor()}, one_of({"", "x", "-7", "9007199254740993", "1e3"}), "PX", "5000"});
        break;
      default: replace_floor(); break;
    }
    // So that something is left only if the scripts leave it.
    if (const Keyspace::Entry* line = world_.server().keyspace().peek(std::string{key_.line()});
        line != nullptr && !line->expires_at_ms) {
      by_hand({"PEXPIRE", std::string{key_.line()}, "5000"});
    }
  }

 private:
  void by_hand(const std::vector<std::string>& command) { world_.by_hand(command, "litter"); }

  void note_loss_of_line() {
    world_.record({.kind = Event::Kind::disaster, .key = std::string{key_.text()}, .note = "line"});
  }

  void replace_line() {
    note_loss_of_line();
    by_hand({"SET", std::string{key_.line()}, "something else", "PX", "5000"});
  }

  void delete_line() {
    note_loss_of_line();
    by_hand({"DEL", std::string{key_.line()}});
  }

  void replace_floor() {
    by_hand({"DEL", std::string{key_.floor()}});
    by_hand({"ZADD", std::string{key_.floor()}, "1", "x"});
    by_hand({"PEXPIRE", std::string{key_.floor()}, "5000"});
  }

  void add_rubbish() {
    add({{"-inf", "x"}, {"5", ""}, {ticket(), "0sredismutex:wake:nobody"}, {"1e17", "y"}, {life(second), "z"}});
  }

  /// It sees to it that the line outlives the place, as any version does.
  void add_newer_version() {
    const std::string id = draw_id();
    add({{ticket(), id + one_of({"8", "9", "a"}) + "whatever it says"}, {life(3 * second), id}});
    by_hand({"PEXPIRE", std::string{key_.line()}, "10000"});
  }

  void add_dead() {
    Members members;
    for (std::int64_t count = world_.random.between(std::int64_t{1}, std::int64_t{150}); count > 0; --count) {
      const std::string id = draw_id();
      members.push_back({ticket(), id + "0" + channel_kind() + "redismutex:wake:nobody"});
      if (world_.chance(800'000)) members.push_back({life(-second), id});
    }
    add(members);
  }

  /// Alive by their time, but nobody listens.
  void add_absent() {
    Members members;
    for (int count = 0; count < 20; ++count) {
      const std::string id = draw_id();
      members.push_back({ticket(), id + one_of({"0", "2", "41000 "}) + channel_kind() + "redismutex:wake:nobody"});
      members.push_back({life(3 * second), id});
    }
    add(members);
  }

  void add_halves() {
    add({{ticket(), draw_id() + "0-"}, {life(3 * second), draw_id()}, {ticket(), draw_id() + "4x -"}});
  }

  using Members = std::vector<std::pair<std::string, std::string>>;  // each behind its score

  /// Unless there is something else.
  void add(const Members& members) {
    std::vector<std::string> command{"ZADD", std::string{key_.line()}};
    for (const auto& [score, member] : members) {
      command.push_back(score);
      command.push_back(member);
    }
    const Keyspace::Entry* line = world_.server().keyspace().peek(std::string{key_.line()});
    if (line == nullptr || std::holds_alternative<SortedSet>(line->value)) by_hand(command);
  }

  /// Somewhere in the line.
  std::string ticket() {
    return std::to_string(world_.server_now_us() - world_.random.between(std::int64_t{0}, 3 * second));
  }
  std::string life(std::int64_t for_us) { return std::to_string(apart_us + world_.server_now_us() + for_us); }

  /// Sharded or plain, if the server knows both.
  std::string channel_kind() { return world_.conduct().before_7_0 ? "p" : one_of({"p", "s"}); }

  std::string draw_id() {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string id = "ffffffff-ffff-4fff-8fff-ffffffffffff";
    for (std::size_t i = 24; i < id.size(); ++i) id[i] = digits[world_.random.below(digits.size())];
    return id;
  }

  std::string one_of(std::initializer_list<const char*> choice) {
    return *(choice.begin() + world_.random.below(choice.size()));
  }

  World& world_;
  const protocol::Key& key_;
};

}  // namespace

void litter(World& world, const protocol::Key& key) { Litterer{world, key}.litter(); }

}  // namespace redismutex::sim
