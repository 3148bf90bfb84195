#include "server_program.hpp"

#include <fcntl.h>
#include <spawn.h>

namespace redismutex::cli {
namespace {

void checked_spawn(int error, const char* call) {
  if (error != 0) throw std::system_error(error, std::generic_category(), call);
}

struct SpawnSettings {
  explicit SpawnSettings(const Signals& signals) {
    checked_spawn(::posix_spawnattr_init(&attributes), "posix_spawnattr_init");
    checked_spawn(::posix_spawn_file_actions_init(&files), "posix_spawn_file_actions_init");
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
    ::posix_spawnattr_setsigmask(&attributes, &signals.original_mask());
    for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      checked_spawn(::posix_spawn_file_actions_addopen(&files, number, "/dev/null", O_RDWR, 0), "addopen");
    }
    // A pipe or a lock of the caller's would not end for as long as the server runs.
    checked_spawn(::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1), "addclosefrom");
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }

  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t files;
};

std::optional<pid_t> spawn(std::string program, std::vector<std::string> arguments, const SpawnSettings& settings) {
  std::vector<char*> pointers{program.data()};
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      ::posix_spawnp(&pid, program.c_str(), &settings.files, &settings.attributes, pointers.data(), environ);
  if (error == ENOENT || error == EACCES) return std::nullopt;  // the latter also of a directory in PATH
  checked_spawn(error, program.c_str());
  return pid;
}

}  // namespace

std::optional<pid_t> spawn_server(const std::vector<std::string>& arguments, const Signals& signals) {
  const SpawnSettings settings{signals};
  for (const auto* program : {"redis-server", "valkey-server"}) {
    if (const auto pid = spawn(program, arguments, settings)) return pid;
  }
  return std::nullopt;
}

}  // namespace redismutex::cli
