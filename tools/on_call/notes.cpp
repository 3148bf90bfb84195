#include "notes.hpp"

#include <set>
#include <string>

#include "shared/messages.hpp"

namespace redismutex::cli {

void say_missing_rights(std::span<const Inspection> seen) {
  std::set<std::string> rights;
  for (const Inspection& each : seen) rights.insert(each.missing_rights.begin(), each.missing_rights.end());
  if (rights.empty()) return;
  std::string list;
  for (const std::string& right : rights) list += (list.empty() ? "" : " ") + right;
  say("some of it is not shown: the server's user lacks " + list);
}

}  // namespace redismutex::cli
