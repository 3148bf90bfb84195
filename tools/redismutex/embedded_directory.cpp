#include "embedded_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cstring>
#include <thread>

#include "shared/embedded_place.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto lock_limit = 10s;  // someone else may be starting or stopping the server
constexpr auto look_again_after = 2ms;

void make_private_directory(const std::string& path) {
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) no_embedded_server(path, std::strerror(errno));
  // None: the minder may have removed it just now. Whoever goes on here will see.
  if (const auto trouble = trouble_with_embedded_directory(); !trouble.empty()) no_embedded_server(path, trouble);
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

EmbeddedDirectory::EmbeddedDirectory() : path_{embedded_directory()} {}

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
