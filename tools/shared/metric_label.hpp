#pragma once

#include <redismutex/printable.hpp>
#include <string>
#include <string_view>

namespace redismutex::cli {

/// A label's value with its quotes, as Prometheus's text format wants it. The same text for the same bytes in all that we export.
inline std::string metric_label(std::string_view bytes) {
  std::string text{"\""};
  for (const char c : printable(bytes)) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

}  // namespace redismutex::cli
