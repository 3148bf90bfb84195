#include "signal_sieve.hpp"

#include <algorithm>
#include <csignal>

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto moment = 20ms;       // from the first to the last process of a sender's list
constexpr auto witness_limit = 1s;  // a witness that does not answer stands still, and knows nothing

/// The kernel makes one of two equal signals that come one soon after the other, but for these.
bool queues(int signal) { return signal >= SIGRTMIN; }

}  // namespace

void SignalSieve::add(const Note& note, BootClock::time_point now) {
  auto entry =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& held) { return held.signal == note.signal; });
  if (entry == entries_.end()) entry = entries_.insert(entry, Entry{.signal = note.signal, .due = now + moment});
  switch (note.what) {
    case Note::What::seen_by_witness: ++entry->by_witness; break;
    case Note::What::seen_by_keeper: entry->by_keeper.push_back(note); break;
    default: entry->by_watcher.push_back(note);
  }
}

bool SignalSieve::has_question(BootClock::time_point now) {
  bool found = false;
  for (auto& entry : entries_) {
    if (entry.question != 0 || entry.due > now) continue;
    entry.question = question_ + 1;
    entry.due = now + witness_limit;
    found = true;
  }
  if (found) ++question_;
  return found;
}

void SignalSieve::answered(int question) {
  for (auto& entry : entries_) {
    if (entry.question != 0 && entry.question <= question) entry.due = {};
  }
}

std::vector<Note> SignalSieve::to_pass_on(const Entry& entry) {
  // What the watcher and the keeper both got is one signal, to both.
  const auto& notes = entry.by_keeper.size() > entry.by_watcher.size() ? entry.by_keeper : entry.by_watcher;
  if (notes.empty()) return {};
  if (!queues(entry.signal)) return entry.by_witness > 0 ? std::vector<Note>{} : std::vector<Note>{notes.front()};
  const auto known = std::min(entry.by_witness, notes.size());
  return {notes.begin() + static_cast<std::ptrdiff_t>(known), notes.end()};
}

std::optional<Note> SignalSieve::next(BootClock::time_point now) {
  while (ready_.empty()) {
    if (entries_.empty() || entries_.front().question == 0 || entries_.front().due > now) return std::nullopt;
    ready_ = to_pass_on(entries_.front());
    entries_.erase(entries_.begin());
  }
  const auto note = ready_.front();
  ready_.erase(ready_.begin());
  return note;
}

BootClock::time_point SignalSieve::due() const {
  auto result = BootClock::time_point::max();
  for (const auto& entry : entries_) result = std::min(result, entry.due);
  return result;
}

bool SignalSieve::holds(int signal) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& held) { return held.signal == signal; });
}

}  // namespace redismutex::cli
