#pragma once

#include <redismutex/inspection.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "describe.hpp"
#include "table.hpp"

/// Locks as rows of a table: those of `ls` and of `watch`.
namespace redismutex::cli {

/// One column.
struct Column {
  std::string_view name;  ///< as -o has it: "holder"
  std::string (*cell)(const Inspection& seen, const NamedServer& server);
  Fit fit = Fit::whole;
};

/// The one with this name; nullptr if there is none.
const Column* find_column(std::string_view name);

/// "key,holder,since": none of them is left out. Throws CLI::ValidationError, which names `option`.
std::vector<Column> parse_columns(const std::string& option, const std::string& text);

/// Those that are shown unasked.
std::vector<Column> usual_columns();

/// Their names in capitals.
Table::Row header_of(const std::vector<Column>& chosen);

Table::Row row_of(const Inspection& seen, const NamedServer& server, const std::vector<Column>& chosen);

/// Of each of them.
std::vector<Fit> fits_of(const std::vector<Column>& chosen);

enum class Order { age, wait, queue, key };

/// "age", "wait", "queue", "key". Throws CLI::ValidationError, which names `option`.
Order parse_order(const std::string& option, const std::string& text);
std::string_view order_name(Order order);

/// What was held for the longest time, has the longest wait, or the longest line, comes first.
void sort(std::vector<Inspection>& seen, Order order);

/// How long it is held; zero if it does not tell.
std::chrono::microseconds age_of(const Inspection& seen);

/// How long its first waiter waits; zero if there is none.
std::chrono::microseconds longest_wait_of(const Inspection& seen);

}  // namespace redismutex::cli
