#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "net/failure.hpp"
#include "net/poll.hpp"
#include "net/stream.hpp"
#include "net/wire.hpp"

namespace redismutex::net {

/// A connection that one talks on in steps, none of which waits: what is to be said goes into the wire, and is moved from here. For one
/// thread at a time.
class Dialogue {
 public:
  explicit Dialogue(std::unique_ptr<Stream> stream, Wire wire = {})
      : stream_{std::move(stream)}, wire_{std::move(wire)} {}
  Dialogue(Dialogue&&) = delete;

  Wire& wire() noexcept { return wire_; }

  /// Sends what the server takes now.
  void write();

  /// The same, and takes in what has come. None: something has. A Failure: nothing more will come. An answer is overdue when the wire
  /// says so; `timeout` is what people are told.
  using Stuck = std::optional<std::variant<Awaited, Failure>>;
  Stuck exchange(Deadline now, std::chrono::milliseconds timeout);

  /// Waits for more without waiting: for one who has had enough for this time.
  Awaited again(Deadline now) const noexcept;

  /// The connection goes to another owner.
  std::pair<std::unique_ptr<Stream>, Wire> leave() && { return {std::move(stream_), std::move(wire_)}; }

 private:
  std::unique_ptr<Stream> stream_;
  Wire wire_;
  bool deaf_ = false;  // the server has closed: what it said before is still to be read
};

}  // namespace redismutex::net
