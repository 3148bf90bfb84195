#include "table.hpp"

#include <algorithm>
#include <cwchar>

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

std::vector<std::string> Table::lines() const {
  std::vector<std::size_t> widths;
  for (const Row& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::vector<std::string> lines;
  for (const Row& row : rows_) {
    std::string& line = lines.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) line += padded(row[i], widths[i]) + "  ";
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
