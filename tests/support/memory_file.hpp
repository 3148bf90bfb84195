#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include <array>
#include <string>
#include <string_view>

#include "support/posix.hpp"

namespace redismutex::testing {

/// An unnamed file in memory that forked processes share. Appending never blocks and is atomic among processes and
/// threads, so unlike a pipe it needs no reader to make progress and keeps what a dead process wrote.
class MemoryFile {
 public:
  MemoryFile() : file_(checked(::memfd_create("redismutex-test", MFD_CLOEXEC), "memfd_create")) {
    checked(::fcntl(file_.get(), F_SETFL, O_APPEND), "fcntl");
  }

  int descriptor() const noexcept { return file_.get(); }

  void append(std::string_view text) const { checked(::write(file_.get(), text.data(), text.size()), "write"); }

  /// Everything from `offset` to the present end.
  std::string read(std::size_t offset = 0) const {
    std::string text;
    std::array<char, 4096> chunk;
    while (true) {
      const auto position = static_cast<off_t>(offset + text.size());
      const auto size = checked(::pread(file_.get(), chunk.data(), chunk.size(), position), "pread");
      if (size == 0) return text;
      text.append(chunk.data(), static_cast<std::size_t>(size));
    }
  }

 private:
  Descriptor file_;
};

}  // namespace redismutex::testing
