#include "sandbox.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string_view>

#include "support/posix.hpp"

namespace redismutex::testing {
namespace {

constexpr uid_t nobody = 65534;

void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

/// Mounts that nobody else sees. Without privileges, in a user namespace in which this user stays who it is.
bool enter_private_mounts() {
  const auto user = std::to_string(::geteuid());
  const auto group = std::to_string(::getegid());
  if (::geteuid() == 0) {
    if (::unshare(CLONE_NEWNS) != 0) return false;
  } else {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", user + " " + user + " 1");
    write_file("/proc/self/gid_map", group + " " + group + " 1");
  }
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

bool mount_empty(const char* path) { return ::mount("none", path, "tmpfs", 0, "mode=1777") == 0; }

/// The same, but what is in /tmp of this project's own, if it was built there, can still be seen.
bool mount_empty_tmp() {
  const std::string program = REDISMUTEX_COMMAND;
  if (!program.starts_with("/tmp/")) return mount_empty("/tmp");
  const auto folder = program.substr(0, program.find('/', std::string_view{"/tmp/"}.size()));
  const int project = ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (project < 0 || !mount_empty("/tmp")) return false;
  std::filesystem::create_directory(folder);
  const auto from = "/proc/self/fd/" + std::to_string(project);
  const bool mounted = ::mount(from.c_str(), folder.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0;
  ::close(project);
  if (!mounted) ::umount("/tmp");
  return mounted;
}

[[noreturn]] void become(int program, const std::vector<std::string>& arguments,
                         const std::vector<std::string>& environment) {
  std::vector<std::string> words{"redismutex"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  auto variables = environment;
  std::vector<char*> variable_pointers;
  for (auto& variable : variables) variable_pointers.push_back(variable.data());
  variable_pointers.push_back(nullptr);
  ::fexecve(program, pointers.data(), variable_pointers.data());
  ::_exit(98);
}

/// A process that captures its output as a program does, but is prepared by `prepare` before it becomes redismutex.
Result run_prepared(const std::function<bool()>& prepare, const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment) {
  MemoryFile out;
  MemoryFile err;
  const ChildProcess process([&] {
    ::dup2(out.descriptor(), STDOUT_FILENO);
    ::dup2(err.descriptor(), STDERR_FILENO);
    // Who has no privileges may not be able to find it.
    const int program = checked(::open(REDISMUTEX_COMMAND, O_PATH | O_CLOEXEC), "open");
    if (!prepare()) return 97;
    become(program, arguments, environment);
  });
  const auto status = process.wait(limit);
  if (!status) throw std::runtime_error("still running; stderr: " + err.read());
  if (*status == exited(97)) throw std::runtime_error("the privileges could not be dropped");
  return {*status, out.read(), err.read()};
}

}  // namespace

void enter_private_tmp() {
  static const bool entered = [] {
    if (!enter_private_mounts() || !mount_empty_tmp()) return false;
    const char* const temporary = std::getenv("TMPDIR");
    if (temporary != nullptr) std::filesystem::create_directories(temporary);
    return true;
  }();
  static_cast<void>(entered);
}

Result redismutex_with_system_file(const std::string& text, const std::vector<std::string>& arguments,
                                   const std::vector<std::string>& environment) {
  const Notes notes;
  auto variables = environment;
  variables.push_back("LD_PRELOAD=" SYSTEM_FILE_LIBRARY);
  if (!text.empty()) {
    notes.write("url", text);
    variables.push_back("SYSTEM_FILE=" + notes.path("url"));
  }
  return run_prepared([] { return true; }, arguments, variables);
}

Result redismutex_without_privileges(const std::vector<std::string>& arguments,
                                     const std::vector<std::string>& environment) {
  const auto drop_privileges = [] {
    return ::geteuid() != 0 || (::setgroups(0, nullptr) == 0 && ::setresgid(nobody, nobody, nobody) == 0 &&
                                ::setresuid(nobody, nobody, nobody) == 0);
  };
  return run_prepared(drop_privileges, arguments, environment);
}

std::vector<std::string> as_first_process(bool with_proc) {
  std::vector<std::string> words{"unshare", "--pid", "--fork", "--kill-child"};
  if (::geteuid() != 0) words.insert(words.end(), {"--user", "--map-current-user"});
  if (with_proc) words.push_back("--mount-proc");
  auto trial = words;
  trial.push_back("true");
  if (ChildProcess(Program{.arguments = trial}).wait(limit) != exited(0)) return {};
  return words;
}

}  // namespace redismutex::testing
