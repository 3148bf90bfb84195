#include "table.hpp"

#include <algorithm>
#include <cwchar>
#include <utility>

namespace redismutex::cli {

std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  std::mbstate_t state{};
  while (!text.empty()) {
    wchar_t character = 0;
    const std::size_t size = std::mbrtowc(&character, text.data(), text.size(), &state);
    if (size == 0 || size > text.size()) return width + text.size();  // not of this locale: a column each byte
    width += static_cast<std::size_t>(std::max(::wcwidth(character), 0));
    text.remove_prefix(size);
  }
  return width;
}

std::string padded(const std::string& text, std::size_t width) {
  const std::size_t own = width_of(text);
  return own < width ? text + std::string(width - own, ' ') : text;
}

std::string cut_to(const std::string& text, std::size_t width) {
  std::string fitting;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) ++end;
    const std::string more = fitting + text.substr(i, end - i);
    if (width_of(more) > width) break;
    fitting = more;
    i = end;
  }
  return fitting;
}

namespace {

constexpr std::string_view dots = "...";

/// As much of its end as fits.
std::string end_of(const std::string& text, std::size_t width) {
  std::size_t begin = 0;
  while (begin < text.size() && width_of(std::string_view{text}.substr(begin)) > width) {
    do ++begin;
    while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80);
  }
  return text.substr(begin);
}

/// Of the columns that stay: how wide they become.
struct Shares {
  std::size_t name = 0;
  std::size_t words = 0;
};

Shares shares(std::size_t room, const Shares& wanted) {
  constexpr Shares least{.name = 16, .words = 24};
  const std::size_t name = std::min(wanted.name, least.name);
  Shares got;
  got.words = std::min({wanted.words, least.words, room > name ? room - name : 0});
  got.name = std::min(wanted.name, std::max(name, room - std::min(room, got.words)));
  const std::size_t left = room - std::min(room, got.name);
  got.words = std::min(wanted.words, std::max(got.words, left));
  return got;
}

}  // namespace

std::string shortened(const std::string& text, std::size_t width) {
  if (width_of(text) <= width) return text;
  return width <= dots.size() ? cut_to(text, width) : cut_to(text, width - dots.size()).append(dots);
}

std::string shortened_in_the_middle(const std::string& text, std::size_t width) {
  if (width_of(text) <= width || width <= dots.size()) return cut_to(text, width);
  const std::size_t shown = width - dots.size();
  return cut_to(text, shown - shown / 2).append(dots) + end_of(text, shown / 2);
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths;
  for (const Row& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  return widths;
}

void Table::fit(const std::vector<Fit>& fits, std::size_t width) {
  constexpr Shares usual{.name = 24, .words = 24};  // beside which there is room for more
  const auto wide = widths();
  Shares wanted;
  std::size_t taken = 0;
  for (std::size_t i = 0; i < wide.size(); ++i) {
    if (fits[i] == Fit::name) wanted.name = wide[i];
    if (fits[i] == Fit::words) wanted.words = wide[i];
    if (fits[i] != Fit::if_room) taken += between;
    if (fits[i] == Fit::whole) taken += wide[i];
  }
  taken -= std::min(taken, between);
  const std::size_t names = std::min(wanted.name, usual.name) + std::min(wanted.words, usual.words);
  std::vector<bool> stays(wide.size(), true);
  for (std::size_t i = 0; i < wide.size(); ++i) {
    if (fits[i] != Fit::if_room) continue;
    stays[i] = taken + names + between + wide[i] <= width;
    if (stays[i]) taken += between + wide[i];
  }
  const Shares got = shares(width - std::min(width, taken), wanted);
  for (Row& row : rows_) {
    Row fitting;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!stays[i]) continue;
      fitting.push_back(fits[i] == Fit::name    ? shortened_in_the_middle(row[i], got.name)
                        : fits[i] == Fit::words ? shortened(row[i], got.words)
                                                : row[i]);
    }
    row = std::move(fitting);
  }
}

std::vector<std::string> Table::lines() const {
  const auto widths = this->widths();
  std::vector<std::string> lines;
  for (const Row& row : rows_) {
    std::string& line = lines.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) line += padded(row[i], widths[i]) + std::string(between, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
  }
  return lines;
}

std::string Table::text(std::string_view indent) const {
  std::string text;
  for (const std::string& line : lines()) text.append(indent).append(line).append("\n");
  return text;
}

}  // namespace redismutex::cli
