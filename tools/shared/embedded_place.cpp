#include "shared/embedded_place.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace redismutex::cli {

std::string embedded_directory() { return "/tmp/redismutex-" + std::to_string(::geteuid()); }

std::string embedded_socket() { return embedded_directory() + "/redis.sock"; }

std::string trouble_with_embedded_directory() {
  struct stat found {};
  if (::lstat(embedded_directory().c_str(), &found) != 0) return errno == ENOENT ? "" : std::strerror(errno);
  if (!S_ISDIR(found.st_mode)) return "is in the way: it is not a directory";
  if (found.st_uid != ::geteuid()) return "belongs to another user";
  if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0) return "is open to other users; chmod 700 it or remove it";
  return {};
}

}  // namespace redismutex::cli
