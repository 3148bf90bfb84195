#pragma once

#include <string>
#include <vector>

#include "support/process.hpp"

namespace redismutex::bench {

/// redis_py_lock.py with arguments.
inline testing::Program redis_py_program(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {REDISMUTEX_BENCH_PYTHON, REDISMUTEX_BENCH_REDIS_PY});
  return {.arguments = std::move(arguments)};
}

}  // namespace redismutex::bench
