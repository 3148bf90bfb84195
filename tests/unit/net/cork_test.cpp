// What a thread sends while it has a Cork goes out together.

#include "net/cork.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "support/eventually.hpp"
#include "unit/net/peer.hpp"

namespace redismutex::net {
namespace {

using redismutex::testing::eventually;
using ::testing::ElementsAre;
using ::testing::Optional;

class CountsWrites final : public Stream {
 public:
  CountsWrites(std::unique_ptr<Stream> stream, std::atomic<int>& writes)
      : stream_{std::move(stream)}, writes_{writes} {}

  Transfer read_now(std::span<char> buffer) override { return stream_->read_now(buffer); }
  Transfer read_blocking(std::span<char> buffer) override { return stream_->read_blocking(buffer); }
  bool has_buffered() override { return stream_->has_buffered(); }
  Transfer write_now(std::string_view bytes) override {
    ++writes_;
    return stream_->write_now(bytes);
  }
  void shut_down() noexcept override { stream_->shut_down(); }
  int fd() const noexcept override { return stream_->fd(); }

 private:
  std::unique_ptr<Stream> stream_;
  std::atomic<int>& writes_;
};

/// As long as it is there, the reactor does nothing.
class HeldUp {
 public:
  explicit HeldUp(Reactor& reactor)
      : timer_{reactor, [this] {
                 holds_ = true;
                 EXPECT_TRUE(eventually(limit, [this] { return over_.load(); }));
               }} {
    timer_.set(boot_now());
    EXPECT_TRUE(eventually(limit, [this] { return holds_.load(); }));
  }
  ~HeldUp() { over_ = true; }
  HeldUp(const HeldUp&) = delete;
  HeldUp& operator=(const HeldUp&) = delete;

 private:
  std::atomic<bool> holds_{false}, over_{false};
  Reactor::Timer timer_;
};

struct Corks : ::testing::Test {
  std::atomic<int> writes{0};
  Linked linked{{.wrap = [this](auto stream) { return std::make_unique<CountsWrites>(std::move(stream), writes); }}};
  const std::shared_ptr<Link> owner{&linked.link, [](Link*) {}};
  Posted first, second;
  std::optional<HeldUp> reactor{*Reactor::shared()};

  void send_both() {
    send(linked.link, first, "FIRST");
    send(linked.link, second, "SECOND");
  }
  void expect_both() {
    EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("FIRST")));
    EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("SECOND")));
  }
  void answer_both() {
    reactor.reset();
    linked.peer.send("+OK\r\n+OK\r\n");
    EXPECT_TRUE(eventually(limit, [&] { return first.times_over() == 1 && second.times_over() == 1; }));
  }
};

TEST_F(Corks, AllGoesOutInOneWriteInTheEnd) {
  {
    const Cork cork;
    send_both();
    EXPECT_EQ(writes, 0);
  }
  EXPECT_EQ(writes, 1);
  expect_both();
  answer_both();
}

TEST_F(Corks, ACommandThatIsWaitedForTakesTheOthersAlong) {
  const Cork cork;
  send(linked.link, first, "FIRST");
  Request request;
  send(linked.link, request, "REQUEST");
  EXPECT_EQ(writes, 1);
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("FIRST")));
  linked.peer.send("+OK\r\n+OK\r\n");
  EXPECT_EQ(linked.link.wait(request, far(), {}), Link::Waited::done);
  EXPECT_EQ(first.times_over(), 1);
}

TEST_F(Corks, TheFirstCommandAfterItWasLoosenedTakesTheOthersAlong) {
  Cork cork;
  send(linked.link, first, "FIRST");
  cork.loosen();
  EXPECT_EQ(writes, 0);
  send(linked.link, second, "SECOND");
  EXPECT_EQ(writes, 1);
  expect_both();
  answer_both();
}

// So the server works while this thread goes on.
TEST_F(Corks, NoMoreIsLeftThanItMayLeave) {
  const Cork cork{1};
  send(linked.link, first, "FIRST");
  EXPECT_EQ(writes, 0);
  send(linked.link, second, "SECOND");
  EXPECT_EQ(writes, 1);
  expect_both();
  answer_both();
}

// Its thread may have much else to do.
TEST_F(Corks, WhatIsLeftForLongTheReactorSends) {
  const Cork cork;
  send_both();
  reactor.reset();
  expect_both();
  answer_both();
  EXPECT_EQ(writes, 1);
}

TEST_F(Corks, AnOuterOneHasWhatIsSentAfterTheInner) {
  {
    const Cork outer;
    {
      const Cork inner;
      send(linked.link, first, "FIRST");
    }
    EXPECT_EQ(writes, 1);
    send(linked.link, second, "SECOND");
    EXPECT_EQ(writes, 1);
  }
  EXPECT_EQ(writes, 2);
  expect_both();
  answer_both();
}

TEST_F(Corks, WhatIsLeftIsLostWhenTheLinkBreaks) {
  {
    const Cork cork;
    send_both();
    linked.link.fail({Failure::Kind::unreachable, "for a reason"});
    EXPECT_EQ(first.state(), Call::State::lost);
  }
  EXPECT_EQ(writes, 0);
  EXPECT_EQ(second.times_over(), 1);
}

}  // namespace
}  // namespace redismutex::net
