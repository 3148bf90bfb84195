#include "histories/trace.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <string>

namespace redismutex::histories {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;

/// "a1b2c3d4", or "a1b2c3d4+2" after two passes.
std::string shorter(const std::string& id) {
  const auto passes = id.find('+');
  return (id.size() < 36 ? id.substr(0, passes) : id.substr(26, 10)) +
         (passes == std::string::npos ? "" : id.substr(passes));
}

std::string time_left(const Event& event) {
  if (event.until == std::chrono::nanoseconds::max()) return "for ever";
  std::ostringstream text;
  text << std::fixed << std::setprecision(1)
       << std::chrono::duration<double, std::milli>{event.until - event.time}.count() << " ms";
  return text.str();
}

std::string what(const Event& event) {
  switch (event.kind) {
    case Kind::want:
      return event.until == 0ns ? "wants the lock, now or not at all" : "wants the lock within " + time_left(event);
    case Kind::leads: return "asks the server for its process";
    case Kind::yields: return "leaves that to the next";
    case Kind::inside: return "is inside, for up to " + time_left(event);
    case Kind::lease: return "counts on another " + time_left(event);
    case Kind::extended: return "is told of an extension by " + time_left(event);
    case Kind::release: return "gives it back";
    case Kind::lost: return "is told that the lock is lost";
    case Kind::released: return "is told that it was its own till then";
    case Kind::gone: return "is told that it was its own no more";
    case Kind::unclear: return "is told nothing";
    case Kind::ended: return "has ended";
    case Kind::denied: return "is refused by the resource";
    case Kind::dead: return "is dead";
    case Kind::disturbed: return "is disturbed for " + time_left(event);
    case Kind::settled: return "works as usual again";
    case Kind::owner: return "gives the key to it for " + time_left(event);
    case Kind::free: return "has no owner for the key";
    case Kind::queued: return "has it in line, alive for " + time_left(event);
    case Kind::unqueued: return "takes it out of the line";
    case Kind::disaster: return "suffers a disaster";
  }
  return {};
}

void print(std::ostream& out, const Event& event) {
  out << std::setw(12) << std::fixed << std::setprecision(6) << std::chrono::duration<double>{event.time}.count()
      << "  " << std::left << std::setw(11) << (event.client == 0 ? "server" : "client " + std::to_string(event.client))
      << std::setw(44) << what(event) << std::setw(7) << event.key << shorter(event.id) << std::right;
  if (event.token != 0) out << " token " << event.token;
  if (!event.note.empty()) out << " (" << event.note << ")";
  out << '\n';
}

}  // namespace

void print_trace(std::ostream& out, const History& history, std::chrono::nanoseconds time, std::size_t count) {
  const auto later = [](std::chrono::nanoseconds moment, const Event& event) { return moment < event.time; };
  const auto until = std::upper_bound(history.begin(), history.end(), time, later);
  const auto before = static_cast<std::size_t>(until - history.begin());
  const auto begin = until - static_cast<std::ptrdiff_t>(std::min(count, before));
  const auto end = until + std::min<std::ptrdiff_t>(10, history.end() - until);
  if (begin != history.begin()) out << "  ... " << begin - history.begin() << " events before\n";
  for (auto event = begin; event != end; ++event) {
    if (event == until) out << "  ---- here ----\n";
    print(out, *event);
  }
}

}  // namespace redismutex::histories
