// The file is Prometheus's text format, for node_exporter's textfile collector, which may read it at any moment: so a new one is
// written beside it and renamed. Several runs, also of several locks, may share a file: a lock on a file of its own, which stays,
// keeps them from overwriting each other's counts.

#include "report.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "descriptor.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/metric_label.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto report_lock_limit = 5s;  // others hold it for milliseconds
constexpr auto between_tries_to_lock = 5ms;

struct Metric {
  std::string_view name;
  std::string_view type;
  std::string_view help;
};

constexpr std::string_view runs = "redismutex_runs_total";
constexpr std::string_view last_success = "redismutex_run_last_success_timestamp_seconds";
constexpr std::string_view last_start = "redismutex_run_last_start_timestamp_seconds";
constexpr std::string_view wait_time = "redismutex_run_wait_seconds";
constexpr std::string_view duration = "redismutex_run_duration_seconds";
constexpr std::string_view last_status = "redismutex_run_exit_status";

constexpr std::array metrics{
    Metric{runs, "counter", "Runs of the command, by how they ended."},
    Metric{last_success, "gauge", "When the command last ended with exit status 0."},
    Metric{last_start, "gauge", "When the command was last started."},
    Metric{wait_time, "gauge", "How long the last run waited for the lock."},
    Metric{duration, "gauge", "How long the last run of the command took."},
    Metric{last_status, "gauge", "The exit status of the last run."},
};

constexpr std::array<std::string_view, 5> outcomes{"ran", "skipped", "lost", "failed", "unreachable"};

/// Nobody could be asked for the lock: there is no server, or it refused us.
bool says_no_server(int status) {
  return status == exit_status::unreachable || status == exit_status::login_refused ||
         status == exit_status::internal_error;
}

std::string_view outcome_of(const LeasePage& page, int status) {
  const bool began = page.began_at() != BootClock::time_point{};
  if (began && status == 0) return "ran";
  const bool is_commands_own = page.is_commands_own() && page.exit_status() == status;
  if (began) return status == exit_status::lock_lost && !is_commands_own ? "lost" : "failed";
  if (page.skipped()) return "skipped";
  return says_no_server(status) && !is_commands_own ? "unreachable" : "failed";
}

std::string in_seconds(std::chrono::duration<double> seconds) {
  std::array<char, 32> text{};
  return {text.data(), static_cast<std::size_t>(std::snprintf(text.data(), text.size(), "%.3f", seconds.count()))};
}

[[noreturn]] void fail(const std::string& path) { throw std::system_error(errno, std::generic_category(), path); }

constexpr std::string_view ours = "redismutex_run";

/// Calls `tell` with each line that is a sample.
template <class Tell>
void each_sample(const std::string& path, const Tell& tell) {
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && !line.starts_with('#')) tell(line);
  }
}

/// The samples of a file: by "name{labels}", the value.
class Samples {
 public:
  explicit Samples(const std::string& path) {
    each_sample(path, [this](const std::string& line) {
      const auto blank = line.rfind(' ');
      if (blank != std::string::npos) values_[line.substr(0, blank)] = line.substr(blank + 1);
    });
  }

  void set(const std::string& sample, std::string value) { values_[sample] = std::move(value); }

  void count(const std::string& sample, int more) {
    auto& value = values_[sample];
    value = std::to_string(std::strtoull(value.c_str(), nullptr, 10) + static_cast<unsigned long long>(more));
  }

  std::string text() const {
    std::string result;
    for (const auto& metric : metrics) {
      result.append("# HELP ").append(metric.name).append(" ").append(metric.help).append("\n");
      result.append("# TYPE ").append(metric.name).append(" ").append(metric.type).append("\n");
      const auto beginning = std::string{metric.name} + "{";
      for (auto sample = values_.lower_bound(beginning);
           sample != values_.end() && sample->first.starts_with(beginning); ++sample) {
        result.append(sample->first).append(" ").append(sample->second).append("\n");
      }
    }
    return result;
  }

 private:
  std::map<std::string, std::string> values_;
};

/// Nobody else changes the file while it lives.
class FileLock {
 public:
  explicit FileLock(const std::string& path)
      : descriptor_{::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH)} {
    if (descriptor_.get() < 0) fail(path);
    const auto deadline = BootClock::now() + report_lock_limit;
    while (::flock(descriptor_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) fail(path);
      if (BootClock::now() >= deadline) fail(path);
      std::this_thread::sleep_for(between_tries_to_lock);
    }
  }

 private:
  Descriptor descriptor_;
};

void write_all(int file, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const auto written = ::write(file, text.data(), text.size());
    if (written < 0) fail(path);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// All of it or nothing, also on a disk that is full.
void replace(const std::string& path, const std::string& text) {
  const auto beside = path + "." + std::to_string(::getpid()) + ".tmp";
  try {
    // Readable for all, as far as the umask allows: node_exporter is another user.
    const Descriptor file{::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                                 S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH)};
    if (file.get() < 0) fail(beside);
    write_all(file.get(), text, beside);
    if (::fdatasync(file.get()) != 0) fail(beside);  // or a crash could leave an empty file under the name
    if (::rename(beside.c_str(), path.c_str()) != 0) fail(path);
  } catch (...) {
    ::unlink(beside.c_str());
    throw;
  }
}

/// A link stays one, also where it leads to no file yet.
std::string file_of(std::filesystem::path path) {
  constexpr int most_links = 40;
  for (int i = 0; i < most_links && std::filesystem::is_symlink(path); ++i) {
    path = path.parent_path() / std::filesystem::read_symlink(path);
  }
  return path;
}

void update(const RunArguments& arguments, const LeasePage& page, BootClock::time_point asked_at, int status) {
  const auto now = BootClock::now();
  const auto began_at = page.began_at();
  const bool began = began_at != BootClock::time_point{};
  const std::chrono::duration<double> time_of_day = std::chrono::system_clock::now().time_since_epoch();
  const auto lock = "lock=" + metric_label(arguments.key);
  const auto of_lock = [&lock](std::string_view name) { return std::string{name}.append("{" + lock + "}"); };

  const std::string path = file_of(arguments.report);
  const FileLock only_one{path + ".lock"};
  if (const auto trouble = trouble_with_report(path); !trouble.empty()) throw std::runtime_error{trouble};
  Samples samples{path};
  for (const auto outcome : outcomes) {
    const auto sample = std::string{runs}.append("{" + lock + ",outcome=\"").append(outcome).append("\"}");
    samples.count(sample, outcome == outcome_of(page, status) ? 1 : 0);
  }
  samples.set(of_lock(wait_time), in_seconds((began ? began_at : now) - asked_at));
  if (began) {
    samples.set(of_lock(last_start), in_seconds(time_of_day - (now - began_at)));
    samples.set(of_lock(duration), in_seconds(now - began_at));
    samples.set(of_lock(last_status), std::to_string(status));
    if (status == 0) samples.set(of_lock(last_success), in_seconds(time_of_day));
  }
  replace(path, samples.text());
}

}  // namespace

std::string trouble_with_report(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};  // whatever it is, the run is worth more than its report
  if (!S_ISREG(status.st_mode)) return path + " is no regular file";
  std::string trouble;
  each_sample(path, [&](const std::string& line) {
    if (!line.starts_with(ours))
      trouble = path + " has something else in it than reports of runs: use a file of its own";
  });
  return trouble;
}

void report_run(const RunArguments& arguments, const LeasePage& page, BootClock::time_point asked_at,
                int status) noexcept {
  try {
    update(arguments, page, asked_at, status);
  } catch (const std::exception& error) {
    say(std::string{"the report was not written: "} + error.what());
  }
}

}  // namespace redismutex::cli
