#include "shared/help_text.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

namespace redismutex::cli {
namespace {

/// Words in lines.
class Fold {
 public:
  explicit Fold(std::size_t width) : width_{width} {}

  void add(const std::string& line) {
    if (line.starts_with(bullet)) {
      end_line();
      result_ += bullet;
      column_ = indent_ = bullet.size();
      add_words(line.substr(bullet.size()));
    } else if (!line.empty() && line.front() != ' ') {
      if (indent_ > 0) end_line();
      add_words(line);
    } else if (indent_ > 0 && line.starts_with(std::string(indent_, ' '))) {
      add_words(line);
    } else {
      end_line();
      result_ += line + '\n';
    }
  }

  std::string text() && {
    while (result_.ends_with('\n')) result_.pop_back();
    return std::move(result_);
  }

 private:
  static constexpr std::string_view bullet = "  - ";

  void add_words(const std::string& line) {
    std::istringstream words{line};
    for (std::string word; words >> word;) {
      if (column_ > indent_ && column_ + 1 + word.size() > width_) {
        result_.append("\n").append(indent_, ' ');
        column_ = indent_;
      }
      const bool is_first = column_ == indent_;
      result_.append(is_first ? "" : " ").append(word);
      column_ += (is_first ? 0 : 1) + word.size();
    }
  }

  void end_line() {
    if (column_ > 0) result_ += '\n';
    column_ = indent_ = 0;
  }

  const std::size_t width_;
  std::string result_;
  std::size_t column_ = 0;  // in the present paragraph or item; 0: there is none
  std::size_t indent_ = 0;  // of the present item
};

}  // namespace

std::size_t terminal_width() {
  constexpr std::size_t usual = 80;
  winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : usual;
}

std::size_t help_width() {
  constexpr std::size_t widest = 100, narrowest = 40;
  return std::clamp(terminal_width(), narrowest, widest);
}

std::string wrapped(const std::string& text, std::size_t width) {
  Fold fold{width};
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) fold.add(line);
  return std::move(fold).text();
}

}  // namespace redismutex::cli
