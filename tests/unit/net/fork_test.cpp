#include "net/fork.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/process.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::ChildProcess;
using redismutex::testing::exited;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Calls = std::vector<std::string>;

class Member final : private ForkAware {
 public:
  Member(std::string name, Calls& calls) : name_{std::move(name)}, calls_{calls} { register_for_fork(); }
  ~Member() { unregister_for_fork(); }

 private:
  void before_fork() noexcept override { calls_.push_back(name_ + " before"); }
  void after_fork_in_parent() noexcept override { calls_.push_back(name_ + " in parent"); }
  void after_fork_in_child() noexcept override { calls_.push_back(name_ + " in child"); }

  const std::string name_;
  Calls& calls_;
};

/// Forks, and whether `holds()` in the child.
bool in_child(const std::function<bool()>& holds) {
  const ChildProcess child{[&] { return holds() ? 0 : 1; }};
  return child.wait(10s) == exited(0);
}

// Every member's hooks run around a fork: all are prepared before it, and all hear of it on each side.
TEST(Fork, CallsTheHooksOfAllMembers) {
  Calls calls;
  const Member a{"a", calls}, b{"b", calls};
  EXPECT_TRUE(in_child([&] { return calls == Calls{"a before", "b before", "a in child", "b in child"}; }));
  EXPECT_THAT(calls, ElementsAre("a before", "b before", "a in parent", "b in parent"));
}

// Who has unregistered is called no more.
TEST(Fork, ForgetsMembersThatHaveGone) {
  Calls gone_calls, calls;
  auto gone = std::make_unique<Member>("gone", gone_calls);
  const Member stays{"stays", calls};
  gone.reset();
  EXPECT_TRUE(in_child([&] { return calls == Calls{"stays before", "stays in child"}; }));
  EXPECT_THAT(gone_calls, IsEmpty());
}

// The generation tells a child from its parent, and a grandchild from both; the parent's own stays as it was.
TEST(Fork, AGenerationChangesInTheChild) {
  Calls calls;
  const Member member{"member", calls};
  const auto parents = fork_generation();
  EXPECT_TRUE(in_child([&] {
    const auto childs = fork_generation();
    return childs != parents && in_child([&] { return fork_generation() != childs && fork_generation() != parents; });
  }));
  EXPECT_EQ(fork_generation(), parents);
}

// A child can have members of its own: the registry's lock is free there.
TEST(Fork, AChildMayRegisterMembers) {
  Calls calls;
  const Member member{"member", calls};
  EXPECT_TRUE(in_child([&] {
    Calls childs;
    const Member another{"another", childs};
    return in_child([&] { return childs == Calls{"another before", "another in child"}; });
  }));
}

}  // namespace
}  // namespace redismutex::net
