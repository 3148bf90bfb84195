# redismutex_compile_as(TARGET KIND): spares the compiler what it would do again and again for each file of the target.
#
# With REDISMUTEX_UNITY sixteen files, of tests eight, of tools 24, are one for the compiler: a third of its work. So what they name for themselves
# differs from file to file; and each has to include what it uses all the same, for those who switch it off: `make lint` sees to that.
#
# With REDISMUTEX_PRECOMPILE it reads once what all targets of the kind include; they have the same options: `library` is
# compiled for shared objects, `simulation` at -O2, `tests` with GoogleTest's definitions.
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
set(redismutex_precompiled_tools ${redismutex_precompiled_library})
set(redismutex_precompiled_support ${redismutex_precompiled_library} <filesystem> <fstream> <set> <sstream> <thread>)
set(redismutex_precompiled_simulation ${redismutex_precompiled_library} <deque> <random> <set> <sstream>)
set(redismutex_precompiled_tests
    ${redismutex_precompiled_support} <future> <gmock/gmock.h> <gtest/gtest.h>)

function(redismutex_compile_together target files)
  if(REDISMUTEX_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${files})
    # GCC inlines less in a large file: sixteen as one must not make a lock slower than sixteen alone.
    target_compile_options(
      ${target} PRIVATE -Wno-shadow
                        $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>
                        $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:--param=inline-unit-growth=200>)
  endif()
endfunction()

function(redismutex_compile_as target kind)
  if(kind STREQUAL "tests")
    redismutex_compile_together(${target} 8)
    # To optimize them takes longer than to run them; what they test is optimized.
    target_compile_options(${target} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O0>)
  elseif(kind STREQUAL "tools")
    redismutex_compile_together(${target} 24)
  else()
    redismutex_compile_together(${target} 16)
  endif()
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
