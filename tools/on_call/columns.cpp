#include "columns.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <redismutex/printable.hpp>

#include "describe.hpp"
#include "moments.hpp"
#include "people.hpp"

namespace redismutex::cli {
namespace {

using std::chrono::microseconds;
constexpr auto none = "-";

std::string since_cell(const Inspection& seen, const NamedServer& /*server*/) {
  const auto since = held_since(seen);
  if (!since) return none;
  return (since->exact ? "" : "\u2264 ") + short_duration_text(seen.seen_at - since->moment);
}

std::string lease_cell(const Inspection& seen, const NamedServer& /*server*/) {
  if (seen.state == Inspection::State::free) return none;
  return seen.lease_left ? tight_duration_text(*seen.lease_left) : "never ends";
}

std::string token_cell(const Inspection& seen, const NamedServer& /*server*/) {
  const auto token = token_of(seen);
  return token ? std::to_string(*token) : none;
}

constexpr std::array columns{
    Column{"key", [](const Inspection& seen, const NamedServer& /*server*/) { return printable(seen.key); }, Fit::name},
    Column{"holder", short_holder_text, Fit::words},
    Column{"since", since_cell},
    Column{"lease", lease_cell},
    Column{"waiting",
           [](const Inspection& seen, const NamedServer& /*server*/) { return std::to_string(seen.waiting); }},
    Column{"longest",
           [](const Inspection& seen, const NamedServer& /*server*/) {
             return seen.waiting == 0 ? std::string{none} : short_duration_text(longest_wait_of(seen));
           }},
    Column{"token", token_cell, Fit::if_room},
    Column{"id",
           [](const Inspection& seen, const NamedServer& /*server*/) {
             return seen.value.empty() ? std::string{none} : printable(seen.value);
           }},
    Column{"state", [](const Inspection& seen, const NamedServer& /*server*/) { return state_name(seen.state); }},
};
constexpr std::size_t usual = 7;

constexpr std::array orders{"age", "wait", "queue", "key"};

}  // namespace

const Column* find_column(std::string_view name) {
  const auto* const found =
      std::find_if(columns.begin(), columns.end(), [&](const Column& column) { return column.name == name; });
  return found == columns.end() ? nullptr : found;
}

std::vector<Column> parse_columns(const std::string& option, const std::string& text) {
  std::vector<Column> chosen;
  for (const std::string& name : CLI::detail::split(text, ',')) {
    const Column* const column = find_column(name);
    if (column == nullptr) {
      std::string known;
      for (const Column& each : columns) known.append(known.empty() ? "" : ",").append(each.name);
      throw CLI::ValidationError(option,
                                 std::string{"'"}.append(name).append("' is no column; these are: ").append(known));
    }
    chosen.push_back(*column);
    if (column->fit == Fit::if_room) chosen.back().fit = Fit::whole;
  }
  return chosen;
}

std::vector<Column> usual_columns() { return {columns.begin(), columns.begin() + usual}; }

Table::Row header_of(const std::vector<Column>& chosen) {
  Table::Row row;
  for (const Column& column : chosen) {
    std::string& name = row.emplace_back(column.name);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  }
  return row;
}

Table::Row row_of(const Inspection& seen, const NamedServer& server, const std::vector<Column>& chosen) {
  Table::Row row;
  for (const Column& column : chosen) row.push_back(column.cell(seen, server));
  return row;
}

std::vector<Fit> fits_of(const std::vector<Column>& chosen) {
  std::vector<Fit> fits;
  fits.reserve(chosen.size());
  for (const Column& column : chosen) fits.push_back(column.fit);
  return fits;
}

Order parse_order(const std::string& option, const std::string& text) {
  for (std::size_t i = 0; i < orders.size(); ++i) {
    if (text == orders.at(i)) return static_cast<Order>(i);
  }
  throw CLI::ValidationError(option, "'" + text + "' is neither 'age', 'wait', 'queue' nor 'key'");
}

std::string_view order_name(Order order) { return orders.at(static_cast<std::size_t>(order)); }

microseconds age_of(const Inspection& seen) {
  const auto since = held_since(seen);
  return since ? seen.seen_at - since->moment : microseconds{0};
}

microseconds longest_wait_of(const Inspection& seen) {
  const auto& line = seen.waiters;
  const auto first = std::find_if(line.begin(), line.end(), [](const Waiter& waiter) { return waiter.alive; });
  return first == line.end() ? microseconds{0} : seen.seen_at - first->waiting_since;
}

void sort(std::vector<Inspection>& seen, Order order) {
  const auto rank = [order](const Inspection& each) -> std::int64_t {
    switch (order) {
      case Order::age: return -age_of(each).count();
      case Order::wait: return -longest_wait_of(each).count();
      case Order::queue: return -static_cast<std::int64_t>(each.waiting);
      case Order::key: break;
    }
    return 0;
  };
  std::stable_sort(seen.begin(), seen.end(), [&](const Inspection& a, const Inspection& b) {
    const auto rank_a = rank(a);
    const auto rank_b = rank(b);
    return rank_a == rank_b ? a.key < b.key : rank_a < rank_b;
  });
}

}  // namespace redismutex::cli
