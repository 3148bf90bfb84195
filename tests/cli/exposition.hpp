#pragma once

#include <string>
#include <vector>

#include "command.hpp"

namespace redismutex::testing {

/// What a reader of Prometheus's text format sees in the text, a line for each: "TYPE NAME type", "NAME{label=value} number". The reader is
/// Prometheus's own for Python.
inline std::string read_exposition(const std::string& text) {
  constexpr auto reader = R"(
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation, family.name
    print("TYPE", family.name, family.type)
    for sample in family.samples:
        print(sample.name + "{" + ",".join(f"{n}={v}" for n, v in sorted(sample.labels.items())) + "}", sample.value)
)";
  const auto result = result_of(ChildProcess(Program{.arguments = {REDISMUTEX_PYTHON, "-c", reader}, .input = text}));
  return result.out + result.err;
}

}  // namespace redismutex::testing
