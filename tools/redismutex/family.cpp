#include "family.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "descriptor.hpp"

namespace redismutex::cli {
namespace {

constexpr int most_walks = 10;  // for what starts processes faster than it is walked through

struct Process {
  pid_t pid = 0;  // as /proc counts
  char state = '?';
  pid_t parent = 0;
  int threads = 0;
  unsigned long long started_at = 0;  // tells it from a later one with the same number

  /// A process whose first thread has ended looks like a zombie while its others go on.
  bool living() const { return (state != 'Z' && state != 'X') || threads > 1; }
};

std::optional<pid_t> number(const char* text) {
  pid_t result = 0;
  const auto* const end = text + std::strlen(text);
  const auto [stopped_at, error] = std::from_chars(text, end, result);
  if (error != std::errc{} || stopped_at != end) return std::nullopt;
  return result;
}

/// What a file in /proc says; empty if the process has ended meanwhile.
std::string read_file(const std::string& path) {
  // No streams: there may be thousands of processes, and little time.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string text;
  std::array<char, 4096> part;
  for (ssize_t size = 0; (size = ::read(file.get(), part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  return text;
}

/// Source: proc(5), /proc/[pid]/stat. The second field is the program's name, which may contain anything: the rest
/// begins after the last ')'.
std::optional<Process> read_process(const char* directory_name) {
  const auto pid = number(directory_name);
  if (!pid) return std::nullopt;
  Process process{.pid = *pid};
  const auto text = read_file(std::string{"/proc/"} + directory_name + "/stat");
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  constexpr auto fields = " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d %*d %llu";
  if (std::sscanf(text.c_str() + name_end + 1, fields, &process.state, &process.parent, &process.threads,
                  &process.started_at) != 4) {
    return std::nullopt;
  }
  return process;
}

std::vector<Process> all_processes() {
  std::vector<Process> result;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir("/proc"), ::closedir};
  if (!directory) return result;
  while (const auto* entry = ::readdir(directory.get())) {
    if (const auto process = read_process(entry->d_name)) result.push_back(*process);
  }
  return result;
}

/// As the kernel lists them, which takes no longer where there are many other processes. It can miss one while another ends, and lists
/// none where it is built without CONFIG_PROC_CHILDREN.
std::vector<Process> children_of(const Process& parent) {
  std::vector<Process> result;
  const auto self = std::to_string(parent.pid);
  const auto tasks = "/proc/" + self + "/task";
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir(tasks.c_str()), ::closedir};
  if (!directory) return result;
  while (const auto* entry = ::readdir(directory.get())) {
    if (!number(entry->d_name)) continue;
    std::istringstream children{read_file(tasks + "/" + entry->d_name + "/children")};
    for (std::string child; children >> child;) {
      const auto process = read_process(child.c_str());
      if (process && process->parent == parent.pid) result.push_back(*process);
    }
  }
  // The parent's number may have been given to another meanwhile.
  const auto still = read_process(self.c_str());
  return still && still->started_at == parent.started_at ? result : std::vector<Process>{};
}

std::multimap<pid_t, Process> all_processes_by_parent() {
  std::multimap<pid_t, Process> result;
  for (const auto& process : all_processes()) result.emplace(process.parent, process);
  return result;
}

/// The numbers of a process in the namespaces from that of /proc down to its own. Source: proc(5), NSpid.
std::vector<pid_t> numbers_by_namespace(pid_t in_proc) {
  const auto text = read_file("/proc/" + std::to_string(in_proc) + "/status");
  const auto line = text.find("\nNSpid:");
  if (line == std::string::npos) return {};
  std::istringstream fields{text.substr(line + 7, text.find('\n', line + 1) - line - 7)};
  std::vector<pid_t> result;
  for (pid_t pid = 0; fields >> pid;) result.push_back(pid);
  return result;
}

/// How /proc counts. It may be that of another PID namespace, where we have other numbers (`unshare --pid` without
/// --mount-proc): to take its numbers for ours would be to kill somebody else.
class Numbering {
 public:
  Numbering() {
    std::array<char, 32> text{};
    if (::readlink("/proc/self", text.data(), text.size() - 1) > 0) self_ = number(text.data()).value_or(0);
    if (self_ != 0 && self_ != ::getpid()) depth_ = numbers_by_namespace(self_).size();
  }

  /// This process's number in /proc; 0 if there is no /proc.
  pid_t self() const { return self_; }

  /// The number in /proc of a process as kill() knows it by.
  pid_t ours(pid_t in_proc) const {
    if (depth_ == 0) return in_proc;
    const auto numbers = numbers_by_namespace(in_proc);
    return numbers.size() < depth_ ? 0 : numbers[depth_ - 1];
  }

 private:
  pid_t self_ = 0;
  std::size_t depth_ = 0;  // 0: ours
};

bool has_pid(const std::vector<pid_t>& pids, pid_t pid) {
  return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

/// Signals this very process, which kill() knows as `pid`. The number may belong to another one by now; the descriptor
/// does not change its process any more.
void send(const Process& process, pid_t pid, int number) {
  const Descriptor handle{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  if (!handle) {
    if (errno != ESRCH) ::kill(pid, number);  // Linux before 5.3, or no descriptors left
    return;
  }
  const auto now = read_process(std::to_string(process.pid).c_str());
  if (now && now->started_at == process.started_at) ::syscall(SYS_pidfd_send_signal, handle.get(), number, nullptr, 0);
}

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

}  // namespace

Family::Family() {
  // Most often there are none, and no need to read /proc.
  if (has_children()) {
    const auto self = Numbering{}.self();
    const auto by_parent = all_processes_by_parent();
    const auto [begin, end] = by_parent.equal_range(self);
    for (auto child = begin; child != end; ++child) strangers_.push_back(child->second.pid);
  }
  checked(::prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
}

std::vector<pid_t> Family::members() const {
  std::vector<pid_t> result;
  for_each([&](const Process&, pid_t pid) { result.push_back(pid); });
  return result;
}

/// All are found before anything is done to them: what a dead one has started is not its child any more.
template <class ChildrenOf, class Function>
void Family::for_each(ChildrenOf find_children, Function function) const {
  const Numbering numbering;
  const auto self = read_process(std::to_string(numbering.self()).c_str());
  if (!self) return;  // there is no /proc
  std::vector<Process> relatives{*self};
  for (std::size_t next = 0; next < relatives.size(); ++next) {
    for (const Process& process : find_children(Process{relatives[next]})) {  // a copy: they become more
      if (!has_pid(strangers_, process.pid)) relatives.push_back(process);
    }
  }
  relatives.erase(relatives.begin());
  for (const Process& process : relatives) {
    if (!process.living()) continue;
    const auto pid = numbering.ours(process.pid);
    if (pid > 0 && !has_pid(helpers_, pid)) function(process, pid);
  }
}

template <class Function>
void Family::for_each(Function function) const {
  const auto by_parent = all_processes_by_parent();
  const auto in_snapshot = [&](const Process& parent) {
    std::vector<Process> children;
    const auto [begin, end] = by_parent.equal_range(parent.pid);
    for (auto child = begin; child != end; ++child) children.push_back(child->second);
    return children;
  };
  for_each(in_snapshot, function);
}

int signal_all_with(const std::string& variable, int number) {
  const Numbering numbering;
  int found = 0;
  for (const auto& process : all_processes()) {
    if (!process.living()) continue;
    const auto environment = '\0' + read_file("/proc/" + std::to_string(process.pid) + "/environ");
    if (environment.find('\0' + variable + '\0') == std::string::npos) continue;
    const auto pid = numbering.ours(process.pid);
    if (pid <= 0) continue;
    send(process, pid, number);
    ++found;
  }
  return found;
}

void Family::signal(int number, pid_t has_it) const {
  std::vector<Known> done;
  send_to_new_ones(number, done, has_it);
}

void Family::kill() { send_to_new_ones(SIGKILL, killed_, 0); }

/// First to those that are quickly found: on a busy machine a walk through all of /proc may take longer than there is time.
void Family::send_to_new_ones(int number, std::vector<Known>& done, pid_t has_it) const {
  bool found = true;
  const auto send_once = [&](const Process& process, pid_t pid) {
    const Known known{.pid = process.pid, .started_at = process.started_at};
    if (pid == has_it || std::find(done.begin(), done.end(), known) != done.end()) return;
    send(process, pid, number);
    done.push_back(known);
    found = true;
  };
  for_each(children_of, send_once);
  for (int walk = 0; found && walk < most_walks; ++walk) {
    found = false;
    for_each(send_once);
  }
}

}  // namespace redismutex::cli
