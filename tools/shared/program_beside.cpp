#include "shared/program_beside.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace redismutex::cli {
namespace {

/// Where it was installed to; in a build directory, where this program is.
std::filesystem::path path_of(const std::string& file) {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
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
