#include "histories/history.hpp"

#include <algorithm>
#include <array>
#include <istream>
#include <ostream>
#include <sstream>
#include <string_view>

namespace redismutex::histories {
namespace {

constexpr std::array<std::string_view, 21> kinds{"want",    "leads",    "yields",    "inside",  "lease",   "extended",
                                                 "release", "lost",     "released",  "gone",    "unclear", "ended",
                                                 "denied",  "dead",     "disturbed", "settled", "owner",   "free",
                                                 "queued",  "unqueued", "disaster"};

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
  out << event.time.count() << ' ' << kinds[static_cast<std::size_t>(event.kind)] << ' ' << event.client << ' '
      << shown(event.key) << ' ' << shown(event.id) << ' ' << event.until.count() << ' ' << shown(event.note);
  return event.token == 0 ? out : out << ' ' << event.token;
}

std::istream& operator>>(std::istream& in, Event& event) {
  std::string text;
  if (!std::getline(in, text)) return in;
  std::istringstream line{text};
  std::chrono::nanoseconds::rep time = 0, until = 0;
  std::string kind;
  line >> time >> kind >> event.client;
  event.key = read_text(line);
  event.id = read_text(line);
  line >> until;
  event.note = read_text(line);
  event.time = std::chrono::nanoseconds{time};
  event.until = std::chrono::nanoseconds{until};
  const auto* place = std::find(kinds.begin(), kinds.end(), kind);
  if (!line || place == kinds.end()) {
    in.setstate(std::ios::failbit);
    return in;
  }
  event.kind = static_cast<Event::Kind>(place - kinds.begin());
  if (!(line >> event.token)) event.token = 0;
  return in;
}

}  // namespace redismutex::histories
