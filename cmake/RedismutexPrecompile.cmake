# redismutex_precompile(TARGET KIND): compiles the target with what its kind includes, read once for all of them. All targets of a
# kind have the same options: `library` is compiled for shared objects, `simulation` at -O2, `tests` with GoogleTest's definitions.
# Where REDISMUTEX_PRECOMPILE is OFF each file has to include what it uses: `make lint` and the release build see to that.
set(redismutex_precompiled_library
    <algorithm>
    <array>
    <atomic>
    <chrono>
    <cstdint>
    <exception>
    <functional>
    <map>
    <memory>
    <mutex>
    <optional>
    <span>
    <stop_token>
    <string>
    <string_view>
    <system_error>
    <utility>
    <variant>
    <vector>)
set(redismutex_precompiled_tools ${redismutex_precompiled_library} <CLI/CLI.hpp>)
set(redismutex_precompiled_support ${redismutex_precompiled_library} <filesystem> <fstream> <set> <sstream> <thread>)
set(redismutex_precompiled_simulation ${redismutex_precompiled_library} <deque> <random> <set> <sstream>)
set(redismutex_precompiled_tests
    ${redismutex_precompiled_support} <future> <gmock/gmock.h> <gtest/gtest.h>)

function(redismutex_precompile target kind)
  if(NOT REDISMUTEX_PRECOMPILE)
    return()
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # From a precompiled header g++ 12 no longer knows what is a system's, and tells of strings what it otherwise keeps to itself.
    target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
  endif()
  get_property(first GLOBAL PROPERTY redismutex_precompiled_${kind})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    set_property(GLOBAL PROPERTY redismutex_precompiled_${kind} ${target})
    target_precompile_headers(${target} PRIVATE ${redismutex_precompiled_${kind}})
  endif()
endfunction()
