#include "support/proxy.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <future>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "support/posix.hpp"

namespace redismutex::testing {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// An address of any family.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Address loopback(std::uint16_t port) {
  Address address;
  auto& inet = reinterpret_cast<sockaddr_in&>(address.storage);
  inet.sin_family = AF_INET;
  inet.sin_port = htons(port);
  inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.size = sizeof inet;
  return address;
}

Address unix_socket(const std::string& path) {
  Address address;
  auto& local = reinterpret_cast<sockaddr_un&>(address.storage);
  local.sun_family = AF_UNIX;
  path.copy(local.sun_path, sizeof local.sun_path - 1);
  address.size = sizeof local;
  return address;
}

std::uint16_t port_of(const Descriptor& socket) {
  Address address;
  checked(::getsockname(socket.get(), address.get(), &address.size), "getsockname");
  return ntohs(reinterpret_cast<sockaddr_in&>(address.storage).sin_port);
}

Descriptor bound_socket(std::uint16_t port) {
  Descriptor socket(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  const int on = 1;
  checked(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  const auto address = loopback(port);
  checked(::bind(socket.get(), address.get(), address.size), "bind");
  return socket;
}

/// A socket that keeps its port also while it does not listen: only a port bound by number stays, so an unnumbered
/// one is bound first, to learn a free number.
Descriptor listener_on_free_port() {
  const auto unnumbered = bound_socket(0);
  return bound_socket(port_of(unnumbered));
}

/// What was read and waits to be passed on; no bytes stand for the end of the stream.
struct Chunk {
  Clock::time_point due;
  std::string bytes;
};

/// One direction of a connection.
struct Stream {
  int from;
  int to;
  Direction direction;
  std::deque<Chunk> chunks = {};
  bool ended = false;
};

struct Connection {
  Connection(Descriptor client_socket, Descriptor server_socket)
      : client(std::move(client_socket)), server(std::move(server_socket)) {}

  Descriptor client;
  Descriptor server;
  Stream requests{client.get(), server.get(), Direction::requests};
  Stream replies{server.get(), client.get(), Direction::replies};
};

/// Ends the connection by calls that also work on the copies of the sockets that forked children hold.
void cut(Connection& connection, Ending ending) {
  if (ending == Ending::rst) {
    const sockaddr nowhere{.sa_family = AF_UNSPEC, .sa_data = {}};
    ::connect(connection.client.get(), &nowhere, sizeof nowhere);  // Linux' way to abort: sends RST
  }
  ::shutdown(connection.client.get(), SHUT_RDWR);
  ::shutdown(connection.server.get(), SHUT_RDWR);
  std::array<char, 4096> unread;  // it would turn the FIN into an RST at close
  while (::recv(connection.client.get(), unread.data(), unread.size(), MSG_DONTWAIT) > 0) {
  }
}

struct Cut {
  std::size_t bytes_left;
  Ending ending;
};

/// What is wrong with one direction of the network.
struct Fault {
  milliseconds delay{0};
  bool swallows = false;
  std::optional<Cut> cut = {};
};

}  // namespace

/// The thread and all that only it may touch.
class Proxy::Loop {
 public:
  explicit Loop(const Address& server) : server_(server) {
    listen();
    thread_ = std::thread([this] { run(); });
  }

  ~Loop() {
    perform([this] {
      refuse();
      cut_all(Ending::fin);
      stopping_ = true;
    });
    thread_.join();
  }

  std::uint16_t port() const { return port_of(listener_); }

  /// Runs `task` in the loop's thread and returns when it is done.
  void perform(std::function<void()> task) {
    std::packaged_task<void()> packaged(std::move(task));
    auto done = packaged.get_future();
    {
      const std::lock_guard guard(mutex_);
      tasks_.push_back(std::move(packaged));
    }
    checked(::eventfd_write(wake_.get(), 1), "eventfd_write");
    done.get();
  }

  // For perform() only.

  long connections() const { return accepted_; }
  std::size_t bytes(Direction direction) const { return bytes_[index(direction)]; }

  Fault& fault(Direction direction) { return faults_[index(direction)]; }

  void freeze() { frozen_ = true; }

  void pass() {
    frozen_ = false;
    faults_ = {};
    if (!listening_) listen();
  }

  void lead_to(const Address& server) { server_ = server; }

  void refuse() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // not close(): forked children hold copies
    listening_ = false;
  }

  void cut_all(Ending ending) {
    for (auto& connection : connections_) cut(connection, ending);
    connections_.clear();
  }

 private:
  static std::size_t index(Direction direction) { return static_cast<std::size_t>(direction); }

  void listen() {
    checked(::listen(listener_.get(), SOMAXCONN), "listen");
    listening_ = true;
  }

  void run() {
    while (!stopping_) {
      wait();
      accept();  // before the tasks: whoever is connected when a task is asked for is counted, and cut
      perform_tasks();
      std::erase_if(connections_, [this](Connection& connection) { return !frozen_ && !pump(connection); });
    }
  }

  /// Until something can be read, written or accepted, the next chunk is due, or perform() was called.
  void wait() {
    auto due = Clock::time_point::max();
    std::vector<pollfd> waiting{{wake_.get(), POLLIN, 0}};
    if (listening_) waiting.push_back({listener_.get(), POLLIN, 0});
    for (const auto& connection : connections_) {
      if (frozen_) break;
      for (const auto* stream : {&connection.requests, &connection.replies}) {
        if (!stream->ended) waiting.push_back({stream->from, POLLIN, 0});
        if (stream->chunks.empty()) continue;
        if (stream->chunks.front().due <= Clock::now()) {
          waiting.push_back({stream->to, POLLOUT, 0});  // pump() found it full
        } else {
          due = std::min(due, stream->chunks.front().due);
        }
      }
    }
    const auto left = std::chrono::ceil<milliseconds>(due - Clock::now()).count();
    const int limit = due == Clock::time_point::max() ? -1 : std::max(0, static_cast<int>(left));
    ::poll(waiting.data(), waiting.size(), limit);
  }

  void perform_tasks() {
    eventfd_t ignored = 0;
    ::eventfd_read(wake_.get(), &ignored);
    std::vector<std::packaged_task<void()>> tasks;
    {
      const std::lock_guard guard(mutex_);
      tasks.swap(tasks_);
    }
    for (auto& task : tasks) task();
  }

  void accept() {
    while (listening_) {
      Descriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (client.get() < 0) return;
      const int on = 1;
      ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      Descriptor server(::socket(server_.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const bool up = ::connect(server.get(), server_.get(), server_.size) == 0;
      auto& connection = connections_.emplace_back(std::move(client), std::move(server));
      ++accepted_;
      if (up) continue;
      cut(connection, Ending::rst);
      connections_.pop_back();
    }
  }

  /// Moves what can be moved now. False if the connection has ended.
  bool pump(Connection& connection) {
    for (auto* stream : {&connection.requests, &connection.replies}) {
      if (!stream->ended) read(*stream);
      if (const auto ending = write(*stream)) {
        cut(connection, *ending);
        return false;
      }
    }
    return true;
  }

  void read(Stream& stream) {
    const auto& fault = faults_[index(stream.direction)];
    std::array<char, 16384> buffer;
    const auto size = ::recv(stream.from, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    stream.ended = size <= 0;
    if (fault.swallows && !stream.ended) return;
    std::string bytes(buffer.data(), stream.ended ? 0 : static_cast<std::size_t>(size));
    stream.chunks.push_back({Clock::now() + fault.delay, std::move(bytes)});
  }

  /// Passes on what is due. Returns how to cut the connection, if that is due now.
  std::optional<Ending> write(Stream& stream) {
    auto& cut = faults_[index(stream.direction)].cut;
    while (!stream.chunks.empty() && stream.chunks.front().due <= Clock::now()) {
      auto& bytes = stream.chunks.front().bytes;
      if (bytes.empty()) return Ending::fin;
      const auto allowed = cut ? std::min(bytes.size(), cut->bytes_left) : bytes.size();
      const auto result = ::send(stream.to, bytes.data(), allowed, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (result < 0 && errno == EAGAIN) return std::nullopt;
      if (result < 0) return Ending::fin;
      const auto sent = static_cast<std::size_t>(result);
      bytes_[index(stream.direction)] += sent;
      if (cut) {
        cut->bytes_left -= sent;
        if (cut->bytes_left == 0) return std::exchange(cut, std::nullopt)->ending;
      }
      bytes.erase(0, sent);
      if (bytes.empty()) stream.chunks.pop_front();
    }
    return std::nullopt;
  }

  Address server_;
  const Descriptor listener_ = listener_on_free_port();
  const Descriptor wake_{checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")};
  bool listening_ = false;
  bool stopping_ = false;
  bool frozen_ = false;
  std::array<Fault, 2> faults_;
  std::list<Connection> connections_;
  long accepted_ = 0;
  std::array<std::size_t, 2> bytes_{};
  std::mutex mutex_;
  std::vector<std::packaged_task<void()>> tasks_;  // guarded by mutex_
  std::thread thread_;
};

Proxy::Proxy(const Server& server)
    : loop_(std::make_unique<Loop>(unix_socket(server.socket_path()))), port_(loop_->port()) {}

Proxy::Proxy(std::uint16_t server_port) : loop_(std::make_unique<Loop>(loopback(server_port))), port_(loop_->port()) {}

Proxy::~Proxy() = default;

void Proxy::lead_to(const Server& server) {
  loop_->perform([&] { loop_->lead_to(unix_socket(server.socket_path())); });
}

void Proxy::pass() {
  loop_->perform([&] { loop_->pass(); });
}

void Proxy::delay(Direction direction, milliseconds duration) {
  loop_->perform([&] { loop_->fault(direction).delay = duration; });
}

void Proxy::swallow(Direction direction) {
  loop_->perform([&] { loop_->fault(direction).swallows = true; });
}

void Proxy::freeze() {
  loop_->perform([&] { loop_->freeze(); });
}

void Proxy::refuse() {
  loop_->perform([&] { loop_->refuse(); });
}

void Proxy::cut_after(Direction direction, std::size_t bytes, Ending ending) {
  loop_->perform([&] { loop_->fault(direction).cut = Cut{bytes, ending}; });
}

void Proxy::cut_all(Ending ending) {
  loop_->perform([&] { loop_->cut_all(ending); });
}

long Proxy::connections() const {
  long result = 0;
  loop_->perform([&] { result = loop_->connections(); });
  return result;
}

std::size_t Proxy::bytes(Direction direction) const {
  std::size_t result = 0;
  loop_->perform([&] { result = loop_->bytes(direction); });
  return result;
}

}  // namespace redismutex::testing
