#include "watch_screen.hpp"

#define NCURSES_NOMACROS
#include <ncurses.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <redismutex/errors.hpp>
#include <redismutex/printable.hpp>

#include "moments.hpp"
#include "people.hpp"
#include "progress.hpp"
#include "shared/exit_status.hpp"
#include "table.hpp"

namespace redismutex::cli {
namespace {

constexpr int key_escape = 27;
constexpr int look_at_keys_ms = 100;

constexpr auto help =
    "j k, arrows, PgUp PgDn   move\n"
    "Enter                    all about this mutex, and who waits; Enter again: back\n"
    "b                        break it: take it from its holder (asks)\n"
    "s                        sort by age, wait, queue, key\n"
    "/                        show only keys that contain a text; empty: all\n"
    "p                        pause, and go on\n"
    "q                        quit\n"
    "\n"
    "HANDOVERS   how often another one was inside, since watch runs. A holder that stays for\n"
    "            20 ms or longer is seen; with many mutexes, or a slow network, it takes longer.\n"
    "WAIT P50, MAX   how long those waited that got in meanwhile.\n"
    "A SINCE with an \u2264 is the time since its holder asked for it.\n";

std::string wait_cell(const std::optional<std::chrono::microseconds>& wait) {
  return wait ? short_duration_text(*wait) : "-";
}

std::size_t number(const std::map<std::string, std::string>& fields, const std::string& name) {
  const auto it = fields.find(name);
  return it == fields.end() ? 0 : std::strtoull(it->second.c_str(), nullptr, 10);
}

std::string bytes_text(std::size_t bytes) {
  constexpr std::size_t mega = 1024UL * 1024;
  return grouped(std::max<std::size_t>(bytes / mega, 1)) + " MB";
}

}  // namespace

WatchScreen::WatchScreen(Looker& looker, std::chrono::milliseconds interval, bool shows_free)
    : looker_{looker}, interval_{interval}, shows_free_{shows_free} {
  ::initscr();
  guard_.learn();
  ::cbreak();
  ::noecho();
  ::keypad(::stdscr, TRUE);
  ::set_escdelay(25);
  ::curs_set(0);
  ::timeout(look_at_keys_ms);
}

WatchScreen::~WatchScreen() { ::endwin(); }

int WatchScreen::run() {
  while (!ended_ && guard_.signal() == 0) {
    take_what_is_new();
    draw();
    const int key = ::getch();
    termios modes{};
    if (key != ERR)
      press(key);
    else if (::tcgetattr(STDIN_FILENO, &modes) != 0)
      return SIGHUP;  // the terminal is gone, and that signal is ignored
  }
  return guard_.signal();
}

void WatchScreen::take_what_is_new() {
  if (auto answer = looker_.take_answer()) message_ = std::move(*answer);
  auto view = looker_.view();
  if (view == view_) return;
  view_ = std::move(view);
  choose_rows();
}

void WatchScreen::choose_rows() {
  rows_.clear();
  for (const Inspection& each : view_->seen) {
    const bool is_free = each.state == Inspection::State::free && each.waiting == 0;
    if ((shows_free_ || !is_free) && each.key.find(filter_) != std::string::npos) rows_.push_back(each);
  }
  sort(rows_, order_);
  if (selected() == nullptr) selected_key_ = rows_.empty() ? "" : rows_.front().key;
}

const Inspection* WatchScreen::selected() const {
  const auto it =
      std::find_if(rows_.begin(), rows_.end(), [&](const Inspection& each) { return each.key == selected_key_; });
  return it == rows_.end() ? nullptr : &*it;
}

// ---- keys -----------------------------------------------------------------------------------------------------------

void WatchScreen::press(int key) {
  if (key != KEY_RESIZE) message_.clear();
  switch (mode_) {
    case Mode::filter: press_in_filter(key); break;
    case Mode::question:
      mode_ = Mode::table;
      if (key == 'y' || key == 'Y') {
        looker_.break_lock(asked_about_);
        message_ =
            "'" + printable(asked_about_.key) + "' is being taken from " + holder_text(asked_about_, view_->server);
      } else {
        message_ = "nothing was done";
      }
      break;
    case Mode::detail:
    case Mode::help:
      if (key == 'b' && mode_ == Mode::detail)
        press_in_table(key);
      else if (key != KEY_RESIZE)
        mode_ = Mode::table;
      break;
    case Mode::table: press_in_table(key); break;
  }
}

void WatchScreen::press_in_table(int key) {
  switch (key) {
    case 'q': ended_ = true; break;
    case 'j':
    case KEY_DOWN: move(1); break;
    case 'k':
    case KEY_UP: move(-1); break;
    case KEY_NPAGE: move(LINES / 2); break;
    case KEY_PPAGE: move(-LINES / 2); break;
    case 's':
      order_ = static_cast<Order>((static_cast<int>(order_) + 1) % 4);
      choose_rows();
      break;
    case '/':
      filter_.clear();
      choose_rows();
      mode_ = Mode::filter;
      break;
    case 'p':
      paused_ = !paused_;
      looker_.pause(paused_);
      break;
    case '?':
    case 'h': mode_ = Mode::help; break;
    case '\n':
    case KEY_ENTER:
      if (selected() != nullptr) mode_ = Mode::detail;
      break;
    case 'b':
      if (selected() == nullptr) break;
      if (selected()->state == Inspection::State::held) {
        asked_about_ = *selected();
        mode_ = Mode::question;
      } else {
        message_ = "'" + printable(selected_key_) + "' is not held by redismutex: there is nobody to take it from";
        mode_ = Mode::table;
      }
      break;
    default: break;
  }
}

void WatchScreen::press_in_filter(int key) {
  if (key == '\n' || key == KEY_ENTER)
    mode_ = Mode::table;
  else if (key == key_escape)
    filter_.clear(), mode_ = Mode::table;
  else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && !filter_.empty())
    filter_.pop_back();
  else if (key >= ' ' && key <= 0xff && key != 127)
    filter_ += static_cast<char>(key);
  choose_rows();
}

void WatchScreen::move(int by) {
  if (rows_.empty()) return;
  const auto* const now = selected();
  const auto index = now == nullptr ? 0 : now - rows_.data();
  const auto last = static_cast<std::ptrdiff_t>(rows_.size()) - 1;
  selected_key_ = rows_.at(static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(index + by, 0, last))).key;
}

// ---- drawing --------------------------------------------------------------------------------------------------------

void WatchScreen::put(int line, const std::string& text, int attributes) const {
  if (line < 0 || line >= LINES) return;
  const std::string fitting = cut_to(text, static_cast<std::size_t>(COLS));
  ::attrset(attributes);
  ::mvaddstr(line, 0, fitting.c_str());
  if (attributes != 0) ::hline(' ', COLS - static_cast<int>(width_of(fitting)));
  ::attrset(0);
}

void WatchScreen::draw() {
  ::erase();
  const int first = draw_head();
  const int last = LINES - 2;
  if (mode_ == Mode::help)
    draw_text(first, last, help);
  else if (mode_ == Mode::detail && selected() != nullptr) {
    draw_text(first, last, describe(*selected(), view_->server, Colours{}));
  } else
    draw_table(first, last);
  put(LINES - 1, foot(), static_cast<int>(A_REVERSE));
  ::refresh();
}

int WatchScreen::draw_head() const {
  const auto& server = view_->server;
  const WallTime now = wall_clock();
  put(0,
      "redismutex watch  " + server.name + (server.role.empty() ? "" : ", " + server.role) + "  " +
          clock_text(now, now) + (paused_ ? "  PAUSED" : "  every " + duration_text(interval_)),
      static_cast<int>(A_BOLD));
  const auto& state = view_->server_state;
  std::string line = "ping " + std::to_string(view_->round_trip.count() / 1000) + "." +
                     std::to_string(view_->round_trip.count() / 100 % 10) + " ms";
  if (!state.empty()) {
    line += "   " + grouped(number(state, "connected_clients")) + " clients   " +
            grouped(number(state, "instantaneous_ops_per_sec")) + " commands/s   " + memory_text();
  }
  put(1, line);
  std::size_t waiting = 0;
  for (const Inspection& each : rows_) waiting += each.waiting;
  const std::string left_out =
      view_->left_out == 0 ? ""
                           : ", and " + grouped(view_->left_out) + " that are not watched (name KEYs or a PATTERN)";
  put(2, grouped(rows_.size()) + (rows_.size() == 1 ? " mutex" : " mutexes") + left_out + "   " + grouped(waiting) +
             " waiting   hand-overs seen: " + grouped(view_->hand_overs) + "   sorted by " +
             std::string{order_name(order_)} +
             (filter_.empty() ? "" : "   only keys with '" + printable(filter_) + "'"));
  return 4;
}

std::string WatchScreen::memory_text() const {
  const auto& state = view_->server_state;
  const std::size_t used = number(state, "used_memory");
  const std::size_t most = number(state, "maxmemory");
  std::string text = "memory " + bytes_text(used);
  if (most == 0) return text;
  constexpr std::size_t bar = 20;
  const std::size_t full = std::min(bar, used * bar / most);
  return "memory [" + std::string(full, '#') + std::string(bar - full, '.') + "] " + bytes_text(used) + " of " +
         bytes_text(most);
}

void WatchScreen::draw_table(int first, int last) const {
  const auto columns = usual_columns();
  Table table;
  auto header = header_of(columns);
  header.insert(header.end(), {"HANDOVERS", "WAIT P50", "MAX"});
  auto fits = fits_of(columns);
  fits.insert(fits.end(), 3, Fit::if_room);
  table.add(std::move(header));
  for (const Inspection& each : rows_) {
    auto row = row_of(each, view_->server, columns);
    const auto found = view_->histories.find(each.key);
    const History history = found == view_->histories.end() ? History{} : found->second;
    row.insert(row.end(),
               {std::to_string(history.hand_overs), wait_cell(history.median()), wait_cell(history.longest())});
    table.add(std::move(row));
  }
  table.fit(fits, static_cast<std::size_t>(COLS));
  const auto lines = table.lines();
  put(first - 1, lines.front(), static_cast<int>(A_REVERSE));
  if (rows_.empty())
    put(first, view_->left_out > 0  ? "none of those that are watched"
               : view_->is_complete ? "nothing is held"
                                    : "looking ...");
  const auto room = static_cast<std::size_t>(std::max(1, last - first + 1));
  const auto* const chosen = selected();
  const std::size_t index = chosen == nullptr ? 0 : static_cast<std::size_t>(chosen - rows_.data());
  const std::size_t top = index < room ? 0 : index - room + 1;
  for (std::size_t i = top; i < rows_.size() && i < top + room; ++i) {
    const Inspection& each = rows_[i];
    put(first + static_cast<int>(i - top), lines[i + 1],
        static_cast<int>(i == index         ? A_STANDOUT
                         : never_ends(each) ? A_BOLD
                                            : A_NORMAL));
  }
}

void WatchScreen::draw_text(int first, int last, const std::string& text) const {
  std::size_t begin = 0;
  for (int line = first; line <= last && begin < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    put(line, text.substr(begin, end - begin));
    begin = end + 1;
  }
}

/// All of it is seen, whatever the key.
std::string WatchScreen::question() const {
  const std::string begin = "break '";
  const std::string end = "'? two may be inside until its holder stops [y/N]";
  const std::size_t taken = std::min(begin.size() + end.size(), static_cast<std::size_t>(COLS));
  return begin + shortened_in_the_middle(printable(asked_about_.key), static_cast<std::size_t>(COLS) - taken) + end;
}

std::string WatchScreen::foot() const {
  switch (mode_) {
    case Mode::question: return question();
    case Mode::filter: return "only keys with: " + printable(filter_) + "_   (Enter: done, Esc: all)";
    case Mode::detail: return "b break   any other key: back";
    case Mode::help: return "any key: back";
    case Mode::table: break;
  }
  if (auto trouble = looker_.trouble(); !trouble.empty()) return trouble;
  return message_.empty() ? "j/k move  Enter detail  b break  s sort  / filter  p pause  ? help  q quit" : message_;
}

}  // namespace redismutex::cli
