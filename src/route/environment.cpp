#include "route/environment.hpp"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

#include "net/reactor.hpp"

namespace redismutex::route {
namespace {

/// Random bytes for the next ids of a thread, so that not every lock costs a system call. (Up to 256 bytes the kernel gives all at once or
/// nothing: getrandom(2).)
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

class OperatingSystem final : public Environment {
 public:
  protocol::Instant now() const noexcept override { return route::now(); }

  std::chrono::milliseconds wall_clock() const noexcept override {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  }

  std::uint64_t random_bits() override {
    thread_local Reserve reserve;
    std::uint64_t bits = 0;
    // A child of fork() has a copy of its parent's reserve, and would hand out the same bits.
    const bool inherited = reserve.generation != net::fork_generation();
    if (inherited || reserve.bytes.size() - reserve.used < sizeof bits) refill(reserve);
    std::memcpy(&bits, reserve.bytes.data() + reserve.used, sizeof bits);
    reserve.used += sizeof bits;
    return bits;
  }
};

}  // namespace

Environment& operating_system() noexcept {
  static OperatingSystem the_only_one;
  return the_only_one;
}

protocol::Instant now() noexcept { return protocol::Instant{net::boot_now()}; }

/// In this order, so that a wait can not end before the instant.
net::Deadline deadline_at(protocol::Instant instant, protocol::Instant now) noexcept {
  const auto left = instant - now;
  const net::Deadline here = net::Deadline::clock::now();
  return left < net::Deadline::max() - here ? here + left : net::Deadline::max();
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

}  // namespace redismutex::route
