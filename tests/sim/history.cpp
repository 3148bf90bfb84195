#include "sim/history.hpp"

#include <algorithm>
#include <array>
#include <istream>
#include <ostream>
#include <string_view>

namespace redismutex::sim {
namespace {

constexpr std::array<std::string_view, 16> kinds{"want",    "inside", "lease",    "release",   "released", "gone",
                                                 "unclear", "ended",  "dead",     "disturbed", "settled",  "owner",
                                                 "free",    "queued", "unqueued", "disaster"};

const std::string& shown(const std::string& text) {
  static const std::string nothing = "-";
  return text.empty() ? nothing : text;
}

std::string read_text(std::istream& in) {
  std::string text;
  in >> text;
  return text == "-" ? std::string{} : text;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Event& event) {
  return out << event.time.count() << ' ' << kinds[static_cast<std::size_t>(event.kind)] << ' ' << event.client << ' '
             << shown(event.key) << ' ' << shown(event.id) << ' ' << event.until.count() << ' ' << shown(event.note);
}

std::istream& operator>>(std::istream& in, Event& event) {
  std::chrono::nanoseconds::rep time = 0, until = 0;
  std::string kind;
  in >> time >> kind >> event.client;
  event.key = read_text(in);
  event.id = read_text(in);
  in >> until;
  event.note = read_text(in);
  event.time = std::chrono::nanoseconds{time};
  event.until = std::chrono::nanoseconds{until};
  const auto* place = std::find(kinds.begin(), kinds.end(), kind);
  if (place == kinds.end()) {
    in.setstate(std::ios::failbit);
  } else {
    event.kind = static_cast<Event::Kind>(place - kinds.begin());
  }
  return in;
}

}  // namespace redismutex::sim
