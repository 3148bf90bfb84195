#pragma once

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>

#include "descriptor.hpp"

namespace redismutex::cli {

/// There is no embedded server: it can not be started, or not safely. Says why, and what helps.
struct NoEmbeddedServer : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws NoEmbeddedServer about what is wrong with `path`.
[[noreturn]] void no_embedded_server(const std::string& path, const std::string& what);

/// Where this user's embedded server lives, see embedded_directory(). Nobody else has rights there.
///
/// In it, `users.lock` is locked (flock, shared) by everyone who uses the server, `start.lock` (exclusively) by who starts
/// or stops it, and `minder.lock` (exclusively) by the minder. All locks end with their owner, however it dies.
class EmbeddedDirectory {
 public:
  EmbeddedDirectory();

  const std::string& path() const noexcept { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  /// Makes the directory if there is none, and takes start.lock in it; while it is held, the directory stays as it is.
  /// Throws NoEmbeddedServer if somebody else could enter, or if the lock is taken for too long.
  Descriptor take_start_lock() const;

  /// Opens one of the files to be locked. Nothing if the directory is gone.
  Descriptor open_lock_file(const std::string& name) const;

  /// Whether `lock` is still the file that one finds under `name`: it may have been removed before it was locked.
  bool has(const Descriptor& lock, const std::string& name) const;

 private:
  std::string path_;
};

/// Whether `condition` comes true within `limit`; looks each 2 ms.
bool comes_true(std::chrono::milliseconds limit, const std::function<bool()>& condition);

}  // namespace redismutex::cli
