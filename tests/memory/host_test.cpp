#include "memory/host.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "memory/process.hpp"
#include "net/command.hpp"
#include "net/stream.hpp"

// A server's connections, seen from their streams.
namespace redismutex::memory {
namespace {

using Status = net::Stream::Status;

struct AHost : ::testing::Test {
  Process& process = Process::current();
  const std::shared_ptr<Host> host = process.make_host(process.unused_name());

  ~AHost() override { process.remove(*host); }

  std::unique_ptr<net::Stream> connect() const {
    auto connected = host->connect();
    return std::move(std::get<std::unique_ptr<net::Stream>>(connected));
  }

  static net::Stream::Transfer send(net::Stream& stream, const std::vector<std::string_view>& arguments) {
    std::string bytes;
    net::append_command(bytes, arguments);
    return stream.write_now(bytes);
  }

  static std::string all_that_is_there(net::Stream& stream) {
    std::string all;
    std::array<char, 4096> buffer{};
    for (auto got = stream.read_now(buffer); got.status == Status::ok; got = stream.read_now(buffer)) {
      all.append(buffer.data(), got.bytes);
    }
    return all;
  }

  static bool is_readable(const net::Stream& stream) {
    pollfd polled{stream.fd(), POLLIN, 0};
    return ::poll(&polled, 1, 0) == 1;
  }
};

TEST_F(AHost, HasAnsweredWhenACommandIsSent) {
  const auto stream = connect();
  EXPECT_FALSE(is_readable(*stream));
  send(*stream, {"PING"});
  EXPECT_TRUE(is_readable(*stream));
  EXPECT_EQ(all_that_is_there(*stream), "+PONG\r\n");
  EXPECT_FALSE(is_readable(*stream));
}

// More than a socket holds waits for the client to read: nothing is lost, and nobody waits.
TEST_F(AHost, KeepsWhatTheSocketHasNoRoomFor) {
  const auto stream = connect();
  const std::string large(1 << 20, 'x');
  send(*stream, {"SET", "key", large});
  for (int i = 0; i < 5; ++i) send(*stream, {"GET", "key"});
  const std::string said = all_that_is_there(*stream);
  EXPECT_EQ(said.size(),
            std::string_view{"+OK\r\n"}.size() + 5 * (large.size() + std::string_view{"$1048576\r\n\r\n"}.size()));
}

TEST_F(AHost, LeavesAClientThatNeverReads) {
  const auto stream = connect(), other = connect();
  const std::string large(1 << 20, 'x');
  send(*stream, {"SET", "key", large});
  Status status = Status::ok;
  for (int i = 0; i < 100 && status == Status::ok; ++i) status = send(*stream, {"GET", "key"}).status;
  EXPECT_EQ(status, Status::closed);
  EXPECT_EQ(send(*other, {"PING"}).status, Status::ok);
}

TEST_F(AHost, TellsItsClientsThatItHasClosed) {
  const auto stream = connect();
  host->cut();
  EXPECT_TRUE(is_readable(*stream));
  std::array<char, 16> buffer{};
  EXPECT_EQ(stream->read_now(buffer).status, Status::closed);
  EXPECT_EQ(stream->read_blocking(buffer).status, Status::closed);
  EXPECT_EQ(send(*stream, {"PING"}).status, Status::closed);
}

TEST_F(AHost, LeavesAClientThatSendsNoCommands) {
  const auto stream = connect();
  const auto sent = stream->write_now("GET / HTTP/1.1\r\n");
  EXPECT_EQ(sent.status, Status::closed);
  EXPECT_EQ(sent.why, "ERR Protocol error: no command");
}

TEST_F(AHost, KnowsWhenAClientHasGone) {
  auto stream = connect();
  const auto other = connect();
  send(*stream, {"SUBSCRIBE", "channel"});
  EXPECT_EQ(host->command({"PUBLISH", "channel", "text"}).integer, 1);
  stream->shut_down();
  EXPECT_EQ(host->command({"PUBLISH", "channel", "text"}).integer, 0);
  stream.reset();
  EXPECT_EQ(send(*other, {"PING"}).status, Status::ok);
}

TEST_F(AHost, MayGoBeforeItsStreams) {
  const auto stream = connect();
  process.remove(*host);
  EXPECT_EQ(send(*stream, {"PING"}).status, Status::closed);
  EXPECT_NE(process.host(host->name()), host);
}

}  // namespace
}  // namespace redismutex::memory
