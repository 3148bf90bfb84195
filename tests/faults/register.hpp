#pragma once

#include <cstdint>
#include <string>

namespace redismutex::faults {

/// What the locks protect: a resource for each key that takes no write with a lower token than it has seen; and what
/// workers and driver tell each other. In a file that all
/// processes map; each operation is one atomic step, so that whoever is killed or stopped leaves it whole.
class Register {
 public:
  static constexpr std::size_t most_keys = 8;

  /// Makes the file where there is none. Throws std::system_error.
  explicit Register(const std::string& path);
  Register(const Register&) = delete;
  Register& operator=(const Register&) = delete;
  ~Register();

  /// Whether it was accepted.
  bool write(std::size_t key, std::uint64_t token) noexcept;

  /// Counts an attempt to take a lock, and its end, of which all that was told was in balance.
  void note_balance() noexcept;
  std::uint64_t balanced() const noexcept;

  /// The driver's word to the workers: end what you are at, and then yourselves.
  void ask_to_stop() noexcept;
  bool asked_to_stop() const noexcept;

 private:
  struct Page;

  Page* page_;
};

}  // namespace redismutex::faults
