// The background of a server, against one that answers from the test: what happens as it ends.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "net/workers.hpp"
#include "route/environment.hpp"
#include "route/peer.hpp"
#include "route/server.hpp"
#include "route/workroom.hpp"
#include "support/eventually.hpp"
#include "support/limits.hpp"
#include "support/posix.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::route {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::checked;
using redismutex::testing::eventually;

using testing::limit;

/// Answers each command as a sound server does, and then with OK.
class Listener {
 public:
  /// `before_greeting` is called, and waited for, when the first client greets.
  explicit Listener(std::function<void()> before_greeting = {})
      : before_greeting_{std::move(before_greeting)},
        socket_{checked(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    checked(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    checked(::listen(socket_.get(), 8), "listen");
    thread_ = std::thread{[this] { serve(); }};
  }
  ~Listener() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
    for (std::thread& client : clients_) client.join();
  }

  std::string path() const { return directory_.path() + "/socket"; }

 private:
  void serve() {
    for (;;) {
      const int client = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      clients_.emplace_back([this, client] { converse(redismutex::testing::Descriptor{client}); });
    }
  }

  void converse(const redismutex::testing::Descriptor& client) {
    std::array<char, 4096> bytes{};
    std::string unread;
    for (;;) {
      const ssize_t size = ::recv(client.get(), bytes.data(), bytes.size(), 0);
      if (size <= 0) return;
      unread.append(bytes.data(), static_cast<std::size_t>(size));
      for (auto end = next_command(unread); end > 0; end = next_command(unread)) {
        const bool greets = unread.find("HELLO") < end;
        const std::string_view answer =
            greets ? "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n" : "+OK\r\n";
        if (greets && before_greeting_) std::exchange(before_greeting_, nullptr)();
        unread.erase(0, end);
        if (::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL) <= 0) return;
      }
    }
  }

  /// Where it ends; 0: it is not there yet.
  static std::size_t next_command(const std::string& unread) {
    std::size_t end = unread.find("\r\n");
    if (end == std::string::npos) return 0;
    for (int left = std::stoi(unread.substr(1)); left > 0; --left) {
      const std::size_t size_at = end + 2;
      end = unread.find("\r\n", size_at);
      if (end == std::string::npos) return 0;
      end += 2 + std::stoul(unread.substr(size_at + 1));
      if (unread.size() < end + 2) return 0;
    }
    return end + 2;
  }

  std::function<void()> before_greeting_;
  const redismutex::testing::TempDir directory_;
  const redismutex::testing::Descriptor socket_;
  std::vector<std::thread> clients_;
  std::thread thread_;
};

/// As in api::Runtime, in that order.
struct Connected {
  explicit Connected(const Listener& listener) {
    Peer::Handlers handlers{.node = {.link = {.on_push = [](net::ReplyView) {}, .on_broken = {}},
                                     .on_linked = [](const net::Link&, bool) {},
                                     .on_failed = {}},
                            .name_connection = [](const net::Greeting&) { return std::string{}; },
                            .on_answered = {}};
    peer.emplace(ConnectionOptions{.unix_socket = listener.path()}, server, reactor, std::move(handlers));
  }

  net::ReactorOnDemand reactor;
  Server server{operating_system(), "test", [](std::string_view) {}};
  std::optional<Peer> peer;
  std::optional<Workroom> workroom{std::in_place, *peer, reactor};
};

/// Sends one command.
class Ask final : public Background::Operation, private Procedure {
 public:
  explicit Ask(std::atomic<int>& over) : over_{over} {}

  Procedure& procedure() noexcept override { return *this; }
  void over(End /*end*/) noexcept override { ++over_; }

 private:
  Step start(protocol::Instant now) override { return Reach{.until = now + limit}; }
  Step resume(Event&& event, protocol::Instant now) override {
    if (std::holds_alternative<Reached>(event)) return Send{.commands = commands_, .until = now + limit};
    return Done{};
  }

  std::atomic<int>& over_;
  const std::array<std::string_view, 1> words_{"PING"};
  const std::array<Command, 2> commands_{
      {{.arguments = words_, .wanted = true}, {.arguments = words_, .wanted = true}}};
};

// It ends in any moment in which answers come.
TEST(WorkroomEnd, EndsWhileAnswersCome) {
  const Listener listener;
  for (int round = 0; round < 300; ++round) {
    Connected connected{listener};
    std::atomic<int> over{0};
    constexpr int asked = 8;
    {
      std::atomic<int> first{0};
      connected.workroom->start(std::make_shared<Ask>(first));
      ASSERT_TRUE(eventually(limit, [&] { return first == 1; }));
    }
    for (int i = 0; i < asked; ++i) connected.workroom->start(std::make_shared<Ask>(over));
    for (const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds{round};
         std::chrono::steady_clock::now() < until;) {
    }
    connected.workroom->finish(protocol::Instant{});
    EXPECT_EQ(over, asked);
    connected.workroom.reset();
    connected.peer.reset();
  }
}

// A link that was dialled for it, and that no round has seen, ends with the peer: it would tell of pushes that nobody takes any more.
TEST(WorkroomEnd, KeepsNoLink) {
  std::promise<void> greeted, answers, occupied, goes_on;
  const Listener listener{[&] {
    greeted.set_value();
    answers.get_future().wait();
  }};
  Connected connected{listener};
  std::atomic<int> over{0};
  connected.workroom->start(std::make_shared<Ask>(over));
  greeted.get_future().wait();
  // No round is made from now on.
  net::Reactor::Timer occupies{connected.reactor.get(), [&] {
                                 occupied.set_value();
                                 goes_on.get_future().wait();
                               }};
  occupies.set(net::boot_now());
  occupied.get_future().wait();
  answers.set_value();
  const bool dialled = eventually(limit, [&] { return connected.peer->present_link() != nullptr; });
  const std::weak_ptr<net::Link> link = connected.peer->present_link();
  connected.workroom->finish(protocol::Instant{});
  goes_on.set_value();
  EXPECT_TRUE(dialled);
  EXPECT_EQ(over, 1);
  connected.peer.reset();
  EXPECT_TRUE(link.expired());
}

}  // namespace
}  // namespace redismutex::route
