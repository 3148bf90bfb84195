#include "embedded_minder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inline_client.hpp"
#include "shared/embedded_place.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto stop_limit = 5s;

constexpr auto minder_lock = "minder.lock";
constexpr auto users_lock = "users.lock";

bool locked(const Descriptor& file, int how) { return file && ::flock(file.get(), how) == 0; }

/// With start.lock held: ends the server if it is unused. Whether it was.
bool end_if_unused(const EmbeddedDirectory& directory) {
  const auto users = directory.open_lock_file(users_lock);
  if (!locked(users, LOCK_EX | LOCK_NB)) return false;
  InlineClient server{embedded_socket(), stop_limit};
  const bool forgets = server.ask("DBSIZE") == ":0";
  // No answer: the connection ends with the server. It does answer if it can not write.
  if (forgets || !server.ask("SHUTDOWN SAVE").empty()) server.ask("SHUTDOWN NOSAVE");
  if (forgets) ::unlink(directory.file("dump.rdb").c_str());
  for (const auto* name : {"redis.log", "redis.pid", "redis.sock", users_lock, minder_lock, "start.lock"}) {
    ::unlink(directory.file(name).c_str());
  }
  ::rmdir(directory.path().c_str());  // unless the file is there
  return true;
}

void mind(const EmbeddedDirectory& directory) {
  const auto lock = directory.open_lock_file(minder_lock);
  if (!locked(lock, LOCK_EX | LOCK_NB)) return;  // there is one already
  while (true) {
    {
      const auto users = directory.open_lock_file(users_lock);
      if (!locked(users, LOCK_EX)) return;  // for as long as it takes
    }
    const auto start_lock = directory.take_start_lock();
    if (!directory.has(lock, minder_lock) || end_if_unused(directory)) return;
  }
}

/// Nothing of what called it holds this process, and this process holds nothing of it.
void detach(const Signals& signals, ProcessName& name) {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    const Descriptor null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    ::dup2(null.get(), number);
  }
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  if (::chdir("/") != 0) ::_exit(1);
  name.set("embedded-minder");
  name.hide_arguments();
  signals.restore();
}

}  // namespace

void start_embedded_minder(const EmbeddedDirectory& directory, const Signals& signals, ProcessName name) {
  {
    const auto lock = directory.open_lock_file(minder_lock);
    if (!locked(lock, LOCK_EX | LOCK_NB)) return;  // there is one
  }
  const auto child = checked(::fork(), "fork");
  if (child != 0) {
    ::waitpid(child, nullptr, 0);
    return;
  }
  ::setsid();
  if (::fork() != 0) ::_exit(0);  // the minder's parent is init
  detach(signals, name);
  try {
    mind(directory);
  } catch (const std::exception&) {
    // The next to use the server starts another.
  }
  ::_exit(0);
}

}  // namespace redismutex::cli
