#include "engine/entropy.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

#include "net/fork.hpp"

namespace redismutex::engine {
namespace {

/// Random bytes for the next ids of a thread, so that not every lock costs a system call. (Up to 256 bytes the kernel
/// gives all at once or nothing: getrandom(2).)
struct Reserve {
  std::array<std::byte, 256> bytes;
  std::size_t used = sizeof bytes;
  std::uint64_t generation = 0;
};

void refill(Reserve& reserve) {
  while (::getrandom(reserve.bytes.data(), reserve.bytes.size(), 0) != static_cast<ssize_t>(reserve.bytes.size())) {
    if (errno != EINTR) throw std::system_error{errno, std::generic_category(), "getrandom"};
  }
  reserve.used = 0;
  reserve.generation = net::fork_generation();
}

}  // namespace

protocol::OwnerId random_owner_id() {
  thread_local Reserve reserve;
  protocol::OwnerId::Entropy entropy;
  // A child of fork() has a copy of its parent's reserve, and would hand out the same ids.
  const bool inherited = reserve.generation != net::fork_generation();
  if (inherited || reserve.bytes.size() - reserve.used < entropy.size()) refill(reserve);
  std::copy_n(reserve.bytes.begin() + static_cast<std::ptrdiff_t>(reserve.used), entropy.size(), entropy.begin());
  reserve.used += entropy.size();
  return protocol::OwnerId{entropy};
}

}  // namespace redismutex::engine
