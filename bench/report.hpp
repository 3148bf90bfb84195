#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace redismutex::bench {

/// A place in a table: a text, or a number that is shown with so many decimals.
struct Cell {
  Cell(const char* words) : text{words} {}             // NOLINT(google-explicit-constructor)
  Cell(std::string words) : text{std::move(words)} {}  // NOLINT(google-explicit-constructor)
  Cell(double value, int decimals);

  std::string text;
  std::optional<double> number{};
};

struct Table {
  std::string mode;   ///< which part of the benchmark it comes from
  std::string title;  ///< what was done
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows{};
};

/// What the library is held to.
struct Bar {
  enum class Kind { at_most, at_least };
  Kind kind;
  double limit;
};

/// Prints what was measured as it comes, and keeps it to be written as JSON.
class Report {
 public:
  /// Something about the run as a whole, such as the server's version.
  void fact(std::string name, std::string value);

  /// A line of progress.
  void say(const std::string& text) const;

  void add(Table table);

  /// Says whether `measured` met the bar; summed up by print_bars().
  void hold(std::string what, double measured, Bar bar);

  void print_bars() const;
  void write_json(const std::string& path) const;

 private:
  struct Verdict {
    std::string what;
    double measured;
    Bar bar;

    bool met() const { return bar.kind == Bar::Kind::at_most ? measured <= bar.limit : measured >= bar.limit; }
  };

  std::vector<std::pair<std::string, std::string>> facts_;
  std::vector<Table> tables_;
  std::vector<Verdict> verdicts_;
};

}  // namespace redismutex::bench
