#include "process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "descriptor.hpp"

namespace redismutex::cli {
namespace {

struct Process {
  pid_t pid = 0;
  char state = '?';
  pid_t parent = 0;
  pid_t session = 0;

  bool living() const { return state != 'Z' && state != 'X'; }
};

/// Source: proc(5), /proc/[pid]/stat. The second field is the program's name, which may contain anything: the rest
/// begins after the last ')'.
std::optional<Process> read_process(const char* directory_name) {
  Process process;
  const auto* const end = directory_name + std::strlen(directory_name);
  const auto [stopped_at, error] = std::from_chars(directory_name, end, process.pid);
  if (error != std::errc{} || stopped_at != end) return std::nullopt;

  // No streams: there may be thousands of processes, and little time.
  const auto path = std::string{"/proc/"} + directory_name + "/stat";
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::array<char, 512> text{};
  const auto size = ::read(file.get(), text.data(), text.size() - 1);
  const auto* const name_end = size > 0 ? std::strrchr(text.data(), ')') : nullptr;
  if (name_end == nullptr) return std::nullopt;  // it has ended meanwhile
  if (std::sscanf(name_end + 1, " %c %d %*d %d", &process.state, &process.parent, &process.session) != 3) {
    return std::nullopt;
  }
  return process;
}

std::multimap<pid_t, Process> all_processes_by_parent() {
  std::multimap<pid_t, Process> result;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir("/proc"), ::closedir};
  if (!directory) return result;
  while (const auto* entry = ::readdir(directory.get())) {
    if (const auto process = read_process(entry->d_name)) result.emplace(process->parent, *process);
  }
  return result;
}

}  // namespace

std::vector<pid_t> descendants_in_session(pid_t ancestor, pid_t included) {
  const auto by_parent = all_processes_by_parent();
  const auto session = ::getsid(ancestor);
  std::vector<pid_t> family{ancestor};
  std::vector<pid_t> result;
  for (std::size_t next = 0; next < family.size(); ++next) {
    const auto [begin, end] = by_parent.equal_range(family[next]);
    for (auto child = begin; child != end; ++child) {
      const auto& process = child->second;
      family.push_back(process.pid);
      if (process.living() && (process.session == session || process.pid == included)) result.push_back(process.pid);
    }
  }
  return result;
}

}  // namespace redismutex::cli
