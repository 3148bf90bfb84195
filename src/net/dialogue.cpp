#include "net/dialogue.hpp"

#include <poll.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "net/within.hpp"

namespace redismutex::net {

void Dialogue::write() {
  while (!deaf_) {
    const std::string_view bytes = wire_.outgoing();
    if (bytes.empty()) return;
    const Stream::Transfer written = stream_->write_now(bytes);
    wire_.sent(written.bytes);
    if (written.status == Stream::Status::would_block) return;
    deaf_ = written.status != Stream::Status::ok;
  }
}

Dialogue::Stuck Dialogue::exchange(Deadline now, std::chrono::milliseconds timeout) {
  write();
  std::array<char, 16 * 1024> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the read
  Stream::Transfer read = stream_->read_now(buffer);
  switch (read.status) {
    case Stream::Status::ok: break;
    case Stream::Status::closed: return Failure{Failure::Kind::unreachable, std::move(read.why)};
    case Stream::Status::refused: return Failure{Failure::Kind::unusable, std::move(read.why)};
    case Stream::Status::would_block: {
      if (now >= wire_.next_deadline()) {
        return Failure{Failure::Kind::unreachable, "no answer" + within_command_timeout(timeout)};
      }
      const bool unsent = wire_.unsent() > 0 && !deaf_;
      const auto events = static_cast<short>(unsent ? POLLIN | POLLOUT : POLLIN);
      return Awaited{.fd = stream_->fd(), .events = events, .until = wire_.next_deadline()};
    }
  }
  Calls over;                 // whoever talks looks at its calls itself
  std::vector<Reply> pushes;  // of nothing that anybody has asked for yet
  wire_.received({buffer.data(), read.bytes}, over, pushes);
  if (wire_.problem().empty()) return std::nullopt;
  return Failure{Failure::Kind::unusable, std::string{wire_.problem()}};
}

Awaited Dialogue::again(Deadline now) const noexcept { return {.fd = stream_->fd(), .events = POLLIN, .until = now}; }

}  // namespace redismutex::net
