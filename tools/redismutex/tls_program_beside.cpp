// For the program without TLS, which starts in half the time: redismutex-tls is installed beside it.

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "tls_program.hpp"

namespace redismutex::cli {
namespace {

/// Where it was installed to; in a build directory, where this program is.
std::filesystem::path path_of_tls_program() {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto beside = here / "redismutex-tls";
  return ::access(beside.c_str(), X_OK) == 0 ? beside : (here / REDISMUTEX_TLS_PROGRAM).lexically_normal();
}

}  // namespace

void run_tls_program(const std::string& url, const char* name, const std::vector<std::string>& words) {
  if (!url.starts_with("rediss://") && !url.starts_with("valkeys://")) return;
  const auto path = path_of_tls_program();
  std::vector<char*> arguments{const_cast<char*>(name)};  // execv() changes none of them
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(path.c_str(), arguments.data());
  throw std::system_error{errno, std::generic_category(), "the program that has TLS, " + path.string()};
}

}  // namespace redismutex::cli
