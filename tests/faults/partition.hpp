#pragma once

#include <string>
#include <vector>

#include "support/process.hpp"

namespace redismutex::faults {

/// A machine on a cable of its own: a network namespace, and a pair of virtual network devices between it and the caller's,
/// which is another one than the system's from then on. All of it is gone with the processes in it. One at a time.
///
/// Needs iproute2, and root or the right to make user namespaces; throws std::runtime_error saying what is missing.
class Partition {
 public:
  Partition();

  /// The caller's address on the cable.
  const std::string& address() const noexcept { return near_; }

  /// What to put before a program's arguments to run it on the machine.
  std::vector<std::string> prefix() const;

  /// The cable is out.
  void cut();

  /// What is sent from the caller's side, or to it, disappears.
  void cut_from_here();
  void cut_to_here();

  void heal();

 private:
  void run_there(std::vector<std::string> arguments) const;

  std::string near_, far_, device_;
  testing::ChildProcess machine_;
  bool from_here_ = false, to_here_ = false, out_ = false;
};

}  // namespace redismutex::faults
