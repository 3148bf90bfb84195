#include "shared/program_beside.hpp"

#include <sys/auxv.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace redismutex::cli {
namespace {

/// This program. Without /proc, as in a chroot where nobody mounts it, the path by which it was started.
std::filesystem::path path_of_this() {
  std::error_code none;
  auto path = std::filesystem::read_symlink("/proc/self/exe", none);
  if (!none) return path;
  path = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));  // NOLINT(performance-no-int-to-ptr): so it is told
  const auto real = std::filesystem::canonical(path, none);
  return none ? std::filesystem::absolute(path) : real;
}

/// Where it was installed to; in a build directory, where this program is.
std::filesystem::path path_of(const std::string& file) {
  const auto here = path_of_this().parent_path();
  const auto beside = here / file;
  return ::access(beside.c_str(), X_OK) == 0 ? beside : (here / REDISMUTEX_LIBEXEC / file).lexically_normal();
}

}  // namespace

void run_program_beside(const std::string& file, const char* name, const std::vector<std::string>& words,
                        const std::string& remedy) {
  const auto path = path_of(file);
  std::vector<char*> arguments{const_cast<char*>(name)};  // execv() changes none of them
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(path.c_str(), arguments.data());
  throw NoProgramBeside{"cannot run " + path.string() + ": " + std::strerror(errno) + "; " + remedy};
}

}  // namespace redismutex::cli
