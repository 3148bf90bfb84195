#include "faults/partition.hpp"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <stdexcept>
#include <utility>

#include "support/eventually.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;
using testing::ChildProcess;

void run(std::vector<std::string> arguments) {
  std::string shown;
  for (const std::string& argument : arguments) shown += argument + " ";
  const ChildProcess process{testing::Program{.arguments = std::move(arguments)}};
  const auto ended = process.wait(10s);
  if (ended == testing::exited(0)) return;
  throw std::runtime_error{"partitions need iproute2 and network namespaces: " + shown + "failed: " +
                           process.stderr_text()};
}

void write_to(const char* path, const std::string& text) { std::ofstream{path} << text; }

/// For good, and for all that the process starts from now on.
void leave_the_systems_network() {
  static bool left = false;
  if (left) return;
  const auto user = ::geteuid();
  const auto group = ::getegid();
  if (::unshare(CLONE_NEWNET) != 0) {
    // Whoever is not root becomes it, in a world of his own.
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
      throw std::runtime_error{std::string{"partitions need root, or the right to make user namespaces: unshare: "} +
                               std::strerror(errno)};
    }
    write_to("/proc/self/setgroups", "deny");
    write_to("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
    write_to("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
  }
  run({"ip", "link", "set", "lo", "up"});
  left = true;
}

int number_of_next() {
  static int number = 0;
  return ++number;
}

int stay_in_a_network_of_its_own() {
  if (::unshare(CLONE_NEWNET) != 0) return 1;
  for (;;) ::pause();
}

std::string network_of(const std::string& process) {
  return std::filesystem::read_symlink("/proc/" + process + "/ns/net").string();
}

}  // namespace

Partition::Partition() : machine_{[] {
      leave_the_systems_network();
      return ChildProcess{stay_in_a_network_of_its_own};
    }()} {
  const std::string machine = std::to_string(machine_.pid());
  if (!testing::eventually(10s, [&] { return network_of(machine) != network_of("self"); })) {
    throw std::runtime_error{"partitions need network namespaces, and there is none"};
  }
  const std::string number = std::to_string(number_of_next());
  near_ = "10.77." + number + ".1";
  far_ = "10.77." + number + ".2";
  device_ = "rm" + number + "near";
  const std::string other = "rm" + number + "far";
  run({"ip", "link", "add", device_, "type", "veth", "peer", "name", other, "netns", machine});
  run({"ip", "address", "add", near_ + "/24", "dev", device_});
  run({"ip", "link", "set", device_, "up"});
  run_there({"ip", "address", "add", far_ + "/24", "dev", other});
  run_there({"ip", "link", "set", other, "up"});
}

std::vector<std::string> Partition::prefix() const {
  return {"nsenter", "--net=/proc/" + std::to_string(machine_.pid()) + "/ns/net", "--"};
}

void Partition::run_there(std::vector<std::string> arguments) const {
  std::vector<std::string> all = prefix();
  all.insert(all.end(), std::make_move_iterator(arguments.begin()), std::make_move_iterator(arguments.end()));
  run(std::move(all));
}

void Partition::cut() {
  run({"ip", "link", "set", device_, "down"});
  out_ = true;
}

void Partition::cut_from_here() {
  run({"ip", "route", "add", "blackhole", far_ + "/32"});
  from_here_ = true;
}

void Partition::cut_to_here() {
  run_there({"ip", "route", "add", "blackhole", near_ + "/32"});
  to_here_ = true;
}

void Partition::heal() {
  if (std::exchange(out_, false)) run({"ip", "link", "set", device_, "up"});
  if (std::exchange(from_here_, false)) run({"ip", "route", "del", "blackhole", far_ + "/32"});
  if (std::exchange(to_here_, false)) run_there({"ip", "route", "del", "blackhole", near_ + "/32"});
}

}  // namespace redismutex::faults
