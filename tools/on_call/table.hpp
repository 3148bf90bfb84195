#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace redismutex::cli {

/// How many columns of a terminal it takes.
std::size_t width_of(std::string_view text);

/// The text with blanks behind it, `width` columns in all; longer ones as they are.
std::string padded(const std::string& text, std::size_t width);

/// As much of the text as fits into `width` columns.
std::string cut_to(const std::string& text, std::size_t width);

/// Rows of cells, one line each, in columns as wide as their longest cell.
class Table {
 public:
  using Row = std::vector<std::string>;

  void add(Row row) { rows_.push_back(std::move(row)); }

  /// Each line begins with `indent`, and has no blanks at its end.
  std::string text(std::string_view indent = {}) const;

  /// The lines of it.
  std::vector<std::string> lines() const;

 private:
  std::vector<Row> rows_;
};

}  // namespace redismutex::cli
