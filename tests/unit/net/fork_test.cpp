#include "net/fork.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <future>
#include <optional>
#include <thread>
#include <utility>

#include "net/socket.hpp"
#include "support/posix.hpp"
#include "support/process.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::ChildProcess;
using redismutex::testing::Descriptor;
using redismutex::testing::exited;

/// Forks, and whether `holds()` in the child.
bool in_child(const std::function<bool()>& holds) {
  const ChildProcess child{[&] { return holds() ? 0 : 1; }};
  return child.wait(10s) == exited(0);
}

// The generation tells a child from its parent, and a grandchild from both; the parent's own stays as it was.
TEST(Fork, AGenerationChangesInTheChild) {
  const auto parents = fork_generation();
  EXPECT_TRUE(in_child([&] {
    const auto childs = fork_generation();
    return childs != parents && in_child([&] { return fork_generation() != childs && fork_generation() != parents; });
  }));
  EXPECT_EQ(fork_generation(), parents);
}

// A child has no copy of a socket, however it came to be: opened, taken over, or moved; its own are its own. The peer hears
// nothing of that, and the parent's go on.
TEST(Fork, AChildHasNoneOfItsParentsSockets) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  Socket taken = Socket::opened_by([&ends] { return ends[0]; });
  const Descriptor peer{ends[1]};
  Socket opened = Socket::open(AF_UNIX, SOCK_STREAM);
  ASSERT_TRUE(opened.valid());
  const Socket moved{std::move(opened)};
  std::optional<Socket> closed{Socket::open(AF_UNIX, SOCK_STREAM)};
  const Descriptor stranger{::dup(closed->get())};
  closed.reset();

  const auto is_open = [](int fd) { return ::fcntl(fd, F_GETFD) >= 0; };
  EXPECT_TRUE(in_child([&] {
    if (is_open(taken.get()) || is_open(moved.get()) || !is_open(stranger.get())) return false;
    const int number = taken.get();
    const Socket own = Socket::open(AF_UNIX, SOCK_STREAM);  // gets the number that has become free
    taken = Socket{};
    return is_open(own.get()) && (own.get() == number || own.get() == moved.get()) &&
           in_child([&] { return !is_open(own.get()); });
  }));
  EXPECT_TRUE(is_open(moved.get()));
  EXPECT_EQ(::send(taken.get(), "x", 1, MSG_NOSIGNAL), 1);
  char byte = 0;
  EXPECT_EQ(::recv(peer.get(), &byte, 1, MSG_DONTWAIT), 1);
  EXPECT_EQ(::recv(peer.get(), &byte, 1, MSG_DONTWAIT), -1) << "neither more bytes nor an end";
}

// A fork waits for a thread that holds it off, from its first such call to its last; and both sides can hold off another.
TEST(Fork, WaitsForThoseWhoHoldItOff) {
  std::promise<void> held, let_go;
  std::thread holder{[&] {
    const HoldsOffFork outer;
    { const HoldsOffFork inner; }
    held.set_value();
    let_go.get_future().wait();
  }};
  held.get_future().wait();
  auto forked = std::async(std::launch::async, [] {
    return in_child([] {
      const HoldsOffFork in_the_child;
      return true;
    });
  });
  EXPECT_EQ(forked.wait_for(100ms), std::future_status::timeout);
  let_go.set_value();
  EXPECT_TRUE(forked.get());
  holder.join();
  const HoldsOffFork in_the_parent;
}

// A fork waits for what takes its time, but not for long.
TEST(Fork, IsHeldUpForAWhile) {
  std::promise<void> held, let_go;
  std::thread holder{[&] {
    const DelaysFork look_up;
    held.set_value();
    let_go.get_future().wait();
  }};
  held.get_future().wait();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(in_child([] {
    const DelaysFork in_the_child;
    return in_child([] { return true; });  // the parent's does not hold it up
  }));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 100ms);
  let_go.set_value();
  holder.join();
}

}  // namespace
}  // namespace redismutex::net
