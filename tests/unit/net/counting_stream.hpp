#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "net/stream.hpp"

namespace redismutex::net {

/// A stream that counts the reads of the thread that made it, and those of others, which are the reactor's.
class CountingStream final : public Stream {
 public:
  struct Counts {
    std::atomic<int> here{0}, elsewhere{0};
  };
  CountingStream(std::unique_ptr<Stream> stream, Counts& counts) : stream_{std::move(stream)}, counts_{counts} {}

  Transfer read_now(std::span<char> buffer) override { return counted(stream_->read_now(buffer)); }
  Transfer read_blocking(std::span<char> buffer) override { return counted(stream_->read_blocking(buffer)); }
  bool has_buffered() override { return stream_->has_buffered(); }
  Transfer write_now(std::string_view bytes) override { return stream_->write_now(bytes); }
  void shut_down() noexcept override { stream_->shut_down(); }
  int fd() const noexcept override { return stream_->fd(); }

 private:
  Transfer counted(Transfer read) {
    ++(::gettid() == maker_ ? counts_.here : counts_.elsewhere);
    return read;
  }

  std::unique_ptr<Stream> stream_;
  Counts& counts_;
  const pid_t maker_ = ::gettid();
};

}  // namespace redismutex::net
