#include "embedded_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cstring>
#include <thread>

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto lock_limit = 10s;  // someone else may be starting or stopping the server
constexpr auto look_again_after = 2ms;

/// Anyone may make directories and links in /tmp: whoever owned this one could speak for the server.
void make_private_directory(const std::string& path) {
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) no_embedded_server(path, std::strerror(errno));
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return;  // the minder has just removed it; whoever goes on here will see
    no_embedded_server(path, std::strerror(errno));
  }
  if (!S_ISDIR(found.st_mode)) no_embedded_server(path, "is in the way: it is not a directory");
  if (found.st_uid != ::geteuid()) no_embedded_server(path, "belongs to another user");
  if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    no_embedded_server(path, "is open to other users; chmod 700 it or remove it");
  }
}

}  // namespace

void no_embedded_server(const std::string& path, const std::string& what) {
  throw NoEmbeddedServer{"no embedded server: " + path + ": " + what};
}

bool comes_true(std::chrono::milliseconds limit, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(look_again_after);
  }
  return true;
}

EmbeddedDirectory::EmbeddedDirectory() : path_{"/tmp/redismutex-" + std::to_string(::geteuid())} {}

Descriptor EmbeddedDirectory::take_start_lock() const {
  constexpr auto name = "start.lock";
  Descriptor lock;
  const bool taken = comes_true(lock_limit, [&] {
    if (!lock || !has(lock, name)) {
      make_private_directory(path_);
      lock = open_lock_file(name);
    }
    return lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0 && has(lock, name);
  });
  if (!taken) {
    no_embedded_server(file(name), "someone else is starting or stopping the server and does not get done");
  }
  return lock;
}

Descriptor EmbeddedDirectory::open_lock_file(const std::string& name) const {
  const auto path = file(name);
  Descriptor lock{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR)};
  if (!lock && errno != ENOENT) no_embedded_server(path, std::strerror(errno));
  return lock;
}

bool EmbeddedDirectory::has(const Descriptor& lock, const std::string& name) const {
  struct stat opened {};
  struct stat named {};
  return ::fstat(lock.get(), &opened) == 0 && ::lstat(file(name).c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace redismutex::cli
