#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <stdexcept>

namespace redismutex::bench {
namespace {

void print(const Table& table) {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < table.columns.size(); ++column) {
    std::size_t width = table.columns[column].size();
    for (const auto& row : table.rows) width = std::max(width, row.at(column).text.size());
    widths.push_back(width);
  }
  std::cout << '\n' << table.title << "\n\n";
  for (std::size_t column = 0; column < table.columns.size(); ++column) {
    const auto align = table.rows.front()[column].number ? std::right : std::left;
    std::cout << "  " << align << std::setw(static_cast<int>(widths[column])) << table.columns[column];
  }
  std::cout << '\n';
  for (const auto& row : table.rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      std::cout << "  " << (row[column].number ? std::right : std::left) << std::setw(static_cast<int>(widths[column]))
                << row[column].text;
    }
    std::cout << '\n';
  }
  std::cout << std::endl;
}

std::string quoted(const std::string& text) {
  std::ostringstream out;
  out << '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out << '\\' << c;
    } else if (static_cast<unsigned char>(c) < ' ') {
      out << "\\u" << std::hex << std::setw(4) << std::setfill('0') << static_cast<int>(c);
    } else {
      out << c;
    }
  }
  out << '"';
  return out.str();
}

std::string json(double value) {
  if (!std::isfinite(value)) return "null";
  std::ostringstream out;
  out << std::setprecision(6) << value;
  return out.str();
}

std::string json(const Cell& cell) { return cell.number ? json(*cell.number) : quoted(cell.text); }

std::string json(const Table& table) {
  std::ostringstream out;
  out << "{\"mode\": " << quoted(table.mode) << ", \"title\": " << quoted(table.title) << ", \"rows\": [";
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    out << (row == 0 ? "\n      {" : ",\n      {");
    for (std::size_t column = 0; column < table.columns.size(); ++column) {
      out << (column == 0 ? "" : ", ") << quoted(table.columns[column]) << ": " << json(table.rows[row].at(column));
    }
    out << '}';
  }
  out << "]}";
  return out.str();
}

}  // namespace

Cell::Cell(double value, int decimals) : number{value} {
  std::ostringstream out;
  out << std::fixed << std::setprecision(decimals) << value;
  text = out.str();
}

void Report::fact(std::string name, std::string value) {
  std::cout << name << ": " << value << '\n';
  facts_.emplace_back(std::move(name), std::move(value));
}

void Report::say(const std::string& text) const { std::cout << "... " << text << std::endl; }

void Report::add(Table table) {
  print(table);
  tables_.push_back(std::move(table));
}

void Report::hold(std::string what, double measured, Bar bar) { verdicts_.push_back({std::move(what), measured, bar}); }

void Report::print_bars() const {
  if (verdicts_.empty()) return;
  Table table{"", "What the library is held to", {"", "measured", "bar", "met"}};
  for (const Verdict& verdict : verdicts_) {
    const char* kind = verdict.bar.kind == Bar::Kind::at_most ? "<= " : ">= ";
    table.rows.push_back({verdict.what, Cell{verdict.measured, 2}, kind + Cell{verdict.bar.limit, 2}.text,
                          verdict.met() ? "yes" : "NO"});
  }
  print(table);
}

void Report::write_json(const std::string& path) const {
  std::ofstream out{path};
  out << "{\n  \"facts\": {";
  for (std::size_t i = 0; i < facts_.size(); ++i) {
    out << (i == 0 ? "\n    " : ",\n    ") << quoted(facts_[i].first) << ": " << quoted(facts_[i].second);
  }
  out << "},\n  \"tables\": [";
  for (std::size_t i = 0; i < tables_.size(); ++i) out << (i == 0 ? "\n    " : ",\n    ") << json(tables_[i]);
  out << "],\n  \"bars\": [";
  for (std::size_t i = 0; i < verdicts_.size(); ++i) {
    const Verdict& verdict = verdicts_[i];
    out << (i == 0 ? "\n    " : ",\n    ") << "{\"what\": " << quoted(verdict.what)
        << ", \"measured\": " << json(verdict.measured)
        << (verdict.bar.kind == Bar::Kind::at_most ? ", \"at_most\": " : ", \"at_least\": ") << json(verdict.bar.limit)
        << ", \"met\": " << (verdict.met() ? "true" : "false") << '}';
  }
  out << "]\n}\n";
  if (!out.flush()) throw std::runtime_error{"cannot write " + path};
  std::cout << "written: " << path << '\n';
}

}  // namespace redismutex::bench
