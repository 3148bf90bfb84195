#include "faults/diary.hpp"

#include <fcntl.h>

#include <ctime>
#include <fstream>
#include <map>
#include <sstream>

#include "histories/chronicle.hpp"

namespace redismutex::faults {

using histories::Event;
using histories::History;

std::chrono::nanoseconds boot_time() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

Diary::Diary(const std::string& path, std::chrono::nanoseconds epoch)
    : epoch_{epoch},
      file_{testing::checked(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), "open")} {}

std::chrono::nanoseconds Diary::now() const noexcept { return boot_time() - epoch_; }

void Diary::note(const Event& event) const {
  std::ostringstream line;
  line << event << '\n';
  const std::string text = line.str();
  testing::checked(::write(file_.get(), text.data(), text.size()), "write");
}

History read_diary(const std::string& path) {
  std::ifstream file{path};
  History history;
  for (Event event; file >> event;) history.push_back(event);
  return history;
}

void name_chains(History& history) {
  std::map<std::string, const Event*, std::less<>> first;
  for (const Event& event : history) {
    if (event.kind != Event::Kind::inside) continue;
    const Event*& earliest = first[std::string{histories::owner_of(event.id)}];
    if (earliest == nullptr || event.time < earliest->time) earliest = &event;
  }
  std::map<std::string, std::string> names;
  for (const auto& [owner, event] : first) names[event->id] = owner;
  for (Event& event : history) {
    if (const auto name = names.find(event.id); name != names.end()) event.id = name->second;
  }
}

}  // namespace redismutex::faults
