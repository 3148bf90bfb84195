// A lock alone does not protect data: a process may stand still between "am I inside?" and the write, for longer than its
// lease. Here one is stopped in that very place, another takes the lock and writes, and the first one wakes up and writes,
// too. A plain file takes that write, and what the other wrote is lost; a file that looks at fencing tokens refuses it.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <string>
#include <utility>

using namespace redismutex;
using namespace std::chrono_literals;

namespace {

/// The resource: a file that holds a text and the newest token that wrote it. A database would keep both in one row and say
/// `UPDATE ... SET text = $1, token = $2 WHERE token < $2`.
class Document {
 public:
  explicit Document(std::filesystem::path path) : path_{std::move(path)} { std::ofstream{path_} << "0 empty\n"; }

  void write_plainly(const std::string& text) { std::ofstream{path_} << "0 " << text << '\n'; }

  /// Refuses what is older than what is there. Looking and writing are one step, by a lock of the file itself.
  bool write_fenced(std::uint64_t token, const std::string& text) {
    const Alone alone{path_};
    if (token < read().first) return false;
    std::ofstream{path_} << token << ' ' << text << '\n';
    return true;
  }

  std::string text() const { return read().second; }

 private:
  struct Alone {
    explicit Alone(const std::filesystem::path& path) : fd{::open(path.c_str(), O_RDWR | O_CLOEXEC)} {
      ::flock(fd, LOCK_EX);
    }
    ~Alone() { ::close(fd); }
    int fd;
  };

  std::pair<std::uint64_t, std::string> read() const {
    std::pair<std::uint64_t, std::string> found;
    std::ifstream file{path_};
    file >> found.first >> std::ws;
    std::getline(file, found.second);
    return found;
  }

  std::filesystem::path path_;
};

enum class Writing { plainly, fenced };

void write(Document& document, Writing writing, const Lock& lock, const std::string& text) {
  const std::uint64_t token = lock.fencing_token().value();
  if (writing == Writing::plainly) {
    document.write_plainly(text);
    std::cout << "  " << text << " writes\n";
  } else {
    const bool written = document.write_fenced(token, text);
    std::cout << "  " << text << " writes with token ..." << token % 100'000'000 << ": "
              << (written ? "accepted" : "REFUSED, a newer one was here") << '\n';
  }
}

/// In a process of its own: is inside, is stopped just before it writes, and writes when it goes on.
[[noreturn]] void slow_writer(Document& document, Writing writing) {
  const RedisMutex mutex{Connection{}, {.block_time = 100ms, .delay = 50ms, .expiry = 300ms, .fencing = true}};
  const Lock lock = mutex.acquire_lock("document");
  if (lock.owns_lock()) {
    ::raise(SIGSTOP);  // a page fault, a garbage collection, a virtual machine that is moved...
    write(document, writing, lock, "the slow one");
  }
  std::cout << std::flush;
  std::_Exit(0);
}

void race(const std::filesystem::path& path, Writing writing) {
  Document document{path};
  std::cout << std::flush;
  const pid_t slow = ::fork();
  if (slow == 0) slow_writer(document, writing);
  ::waitpid(slow, nullptr, WUNTRACED);
  std::cout << "  the slow one is inside, and stands still\n";
  {
    const RedisMutex mutex{Connection{}, {.fencing = true}};
    const Lock lock = mutex.acquire_lock("document");  // when the lease of the slow one has ended
    write(document, writing, lock, "the quick one");
  }
  std::cout << "  the slow one goes on\n" << std::flush;
  ::kill(slow, SIGCONT);
  ::waitpid(slow, nullptr, 0);
  std::cout << "  in the document stands: " << document.text() << "\n\n";
}

}  // namespace

int main() try {
  const auto path = std::filesystem::temp_directory_path() / ("redismutex-fencing-" + std::to_string(::getpid()));
  std::cout << "A plain document: the last write counts, whoever makes it.\n";
  race(path, Writing::plainly);
  std::cout << "A document that looks at fencing tokens: what is old is refused.\n";
  race(path, Writing::fenced);
  std::filesystem::remove(path);
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
