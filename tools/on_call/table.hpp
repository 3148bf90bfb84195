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

/// As much of the text as fits into `width` columns, and "..." where something was left out: at its end, or in its middle.
std::string shortened(const std::string& text, std::size_t width);
std::string shortened_in_the_middle(const std::string& text, std::size_t width);

/// What becomes of a column where there is little room.
enum class Fit {
  whole,    ///< it stays as wide as its longest cell
  name,     ///< takes what is left, but 16 columns at least: shortened in the middle
  words,    ///< up to 24 columns, and more where the names leave some: shortened at the end
  if_room,  ///< it is left out
};

/// Rows of cells, one line each, in columns as wide as their longest cell.
class Table {
 public:
  using Row = std::vector<std::string>;

  void add(Row row) { rows_.push_back(std::move(row)); }

  /// Makes it that wide, if it can be done. `fits`: of each column.
  void fit(const std::vector<Fit>& fits, std::size_t width);

  /// Each line begins with `indent`, and has no blanks at its end.
  std::string text(std::string_view indent = {}) const;

  /// The lines of it.
  std::vector<std::string> lines() const;

 private:
  static constexpr std::size_t between = 2;  // blanks

  std::vector<std::size_t> widths() const;

  std::vector<Row> rows_;
};

}  // namespace redismutex::cli
