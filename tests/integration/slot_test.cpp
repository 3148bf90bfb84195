// What stands beside a key is in the key's slot of a cluster, whatever the key looks like.

#include <random>
#include <set>
#include <string>
#include <vector>

#include "protocol/key.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

/// Keys of up to a dozen characters, of which many are braces: with a hash tag, with an empty one, with half of one.
std::vector<std::string> keys_rich_in_braces(std::size_t count) {
  std::minstd_rand random(1);
  const std::string alphabet = "{}{}ab:";
  const auto draw = [&](std::size_t most) { return std::uniform_int_distribution<std::size_t>(0, most)(random); };
  std::set<std::string> keys;
  while (keys.size() < count) {
    std::string key;
    for (std::size_t length = 1 + draw(11); key.size() < length;) key += alphabet[draw(alphabet.size() - 1)];
    keys.insert(key);
  }
  return {keys.begin(), keys.end()};
}

// Asked of a server that is one of a cluster, thousands at a time. Each name is of one key only.
TEST(Slot, OfWhatStandsBesideAKeyIsTheKeys) {
  constexpr std::size_t count = 60'000, at_a_time = 2000;
  Server server({.directives = {"cluster-enabled yes"}});
  const std::string others =
      "local found = {} "
      "for i = 1, #ARGV, 3 do "
      "  local slot = redis.call('CLUSTER', 'KEYSLOT', ARGV[i]) "
      "  for j = i + 1, i + 2 do "
      "    if redis.call('CLUSTER', 'KEYSLOT', ARGV[j]) ~= slot then found[#found + 1] = ARGV[j] end "
      "  end "
      "end "
      "return found";
  std::set<std::string> names;
  const auto keys = keys_rich_in_braces(count);
  for (std::size_t start = 0; start < count; start += at_a_time) {
    std::vector<std::string> command{"EVAL", others, "0"};
    for (std::size_t i = start; i < start + at_a_time; ++i) {
      const protocol::Key key{keys[i]};
      command.insert(command.end(), {std::string{key.text()}, std::string{key.line()}, std::string{key.floor()}});
      EXPECT_TRUE(names.emplace(key.line()).second) << key.line();
      EXPECT_TRUE(names.emplace(key.floor()).second) << key.floor();
    }
    const Reply reply = server.command(command);
    ASSERT_EQ(reply.kind, Reply::Kind::array) << reply.text;
    for (const Reply& name : reply.elements) ADD_FAILURE() << name.text << " is in another slot than its key";
  }
}

}  // namespace
}  // namespace redismutex::testing
