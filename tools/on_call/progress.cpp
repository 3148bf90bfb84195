#include "progress.hpp"

#include <unistd.h>

#include <iostream>

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto clear_line = "\r\x1b[K";

}  // namespace

std::string grouped(std::size_t number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3;) text.insert(i -= 3, ",");
  return text;
}

std::string progress_text(const ScanProgress& progress) {
  if (progress.total.value_or(0) == 0) return grouped(progress.scanned) + " keys";
  return std::to_string(progress.scanned * 100 / *progress.total) + " % of " + grouped(*progress.total) + " keys";
}

ProgressLine::ProgressLine() : on_{::isatty(STDERR_FILENO) != 0} {}

void ProgressLine::show(const ScanProgress& progress) {
  const auto now = std::chrono::steady_clock::now();
  if (!on_ || now < next_) return;
  next_ = now + 100ms;
  is_shown_ = true;
  // In one piece: others may be writing to this terminal, too.
  std::cerr << clear_line + ("scanned " + progress_text(progress) + ", " + std::to_string(progress.found) + " locks, " +
                             std::to_string((now - began_) / 1s) + " s");
}

void ProgressLine::clear() {
  if (is_shown_) std::cerr << clear_line;
}

}  // namespace redismutex::cli
