#pragma once

#include <string>

#include "net/reply.hpp"

namespace redismutex::net {

/// A reply in one line, in which all types look different.
inline std::string shown(ReplyView reply) {
  const std::string text{reply.text()};
  const auto list = [&](const std::string& open, const std::string& close) {
    std::string line = open;
    for (const ReplyView element : reply) line += (line == open ? "" : " ") + shown(element);
    return line + close;
  };
  switch (reply.type()) {
    case ReplyType::null: return "nil";
    case ReplyType::boolean: return reply.integer() == 1 ? "true" : "false";
    case ReplyType::integer: return std::to_string(reply.integer());
    case ReplyType::real: return "," + text;
    case ReplyType::big_number: return "(" + text;
    case ReplyType::simple_string: return "+" + text;
    case ReplyType::bulk_string: return "'" + text + "'";
    case ReplyType::verbatim_string: return "=" + text;
    case ReplyType::error: return "-" + text;
    case ReplyType::array: return list("[", "]");
    case ReplyType::set: return list("set(", ")");
    case ReplyType::map: return list("{", "}");
    case ReplyType::push: return list("push(", ")");
  }
  return "unknown";
}

}  // namespace redismutex::net
