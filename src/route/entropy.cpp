#include "route/entropy.hpp"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

#include "net/fork.hpp"
#include "route/clock.hpp"

namespace redismutex::route {
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

std::uint64_t random_bits() {
  thread_local Reserve reserve;
  std::uint64_t bits = 0;
  // A child of fork() has a copy of its parent's reserve, and would hand out the same bits.
  const bool inherited = reserve.generation != net::fork_generation();
  if (inherited || reserve.bytes.size() - reserve.used < sizeof bits) refill(reserve);
  std::memcpy(&bits, reserve.bytes.data() + reserve.used, sizeof bits);
  reserve.used += sizeof bits;
  return bits;
}

std::string random_word(Environment& environment, std::size_t size) {
  constexpr std::string_view characters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string word;
  while (word.size() < size) word += characters[environment.random_bits() % characters.size()];
  return word;
}

protocol::OwnerId new_owner_id(Environment& environment, protocol::Tag tag) {
  return protocol::OwnerId{{.tag = tag, .asked_at = environment.wall_clock(), .random = environment.random_bits()}};
}

Environment& operating_system() noexcept {
  class OperatingSystem final : public Environment {
   public:
    protocol::Instant now() const noexcept override { return route::now(); }
    std::chrono::milliseconds wall_clock() const noexcept override { return route::wall_clock(); }
    std::uint64_t random_bits() override { return route::random_bits(); }
  };
  static OperatingSystem the_only_one;
  return the_only_one;
}

}  // namespace redismutex::route
