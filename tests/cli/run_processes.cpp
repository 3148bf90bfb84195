#include "run_processes.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

#include "command.hpp"

namespace redismutex::testing {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// The directories of all processes in /proc.
std::vector<std::filesystem::path> all_processes() {
  std::vector<std::filesystem::path> result;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto name = entry.path().filename().string();
    if (std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      result.push_back(entry.path());
    }
  }
  return result;
}

pid_t pid_of(const std::filesystem::path& directory) { return std::stoi(directory.filename().string()); }

pid_t parent_of(const std::filesystem::path& directory) {
  const auto stat = contents(directory / "stat");
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(stat.substr(name_end + 1));
  std::string state;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent;
}

}  // namespace

RunMark::RunMark() : variable_("RUN_MARK=" + std::to_string(std::random_device{}()) + std::to_string(::getpid())) {}

std::vector<pid_t> RunMark::processes_of_command() const {
  std::vector<pid_t> result;
  for (const auto& directory : all_processes()) {
    if (contents(directory / "environ").find(variable_) == std::string::npos) continue;
    std::error_code error;
    // One without a program has given back its memory: it is about to be a zombie, and may have been one of ours.
    const auto program = std::filesystem::read_symlink(directory / "exe", error);
    if (error || program == REDISMUTEX_COMMAND) continue;
    if (alive(pid_of(directory))) result.push_back(pid_of(directory));
  }
  return result;
}

pid_t child_named(pid_t parent, const std::string& name) {
  for (const auto& directory : all_processes()) {
    if (contents(directory / "comm") == name + "\n" && parent_of(directory) == parent) return pid_of(directory);
  }
  return 0;
}

pid_t await_child_named(pid_t parent, const std::string& name) {
  pid_t child = 0;
  if (!eventually(limit, [&] { return (child = child_named(parent, name)) != 0; })) {
    throw std::runtime_error("there is no " + name);
  }
  return child;
}

pid_t process_named(const std::string& name) {
  const auto mounts_of = [](const std::filesystem::path& directory) {
    std::error_code error;
    return std::filesystem::read_symlink(directory / "ns/mnt", error);
  };
  for (const auto& directory : all_processes()) {
    if (contents(directory / "comm") == name + "\n" && mounts_of(directory) == mounts_of("/proc/self") &&
        alive(pid_of(directory))) {
      return pid_of(directory);
    }
  }
  return 0;
}

pid_t process_named(const std::string& name, const std::string& variable) {
  for (const auto& directory : all_processes()) {
    if (contents(directory / "comm") == name + "\n" && alive(pid_of(directory)) &&
        contents(directory / "environ").find(variable) != std::string::npos) {
      return pid_of(directory);
    }
  }
  return 0;
}

}  // namespace redismutex::testing
