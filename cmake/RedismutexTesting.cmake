include(GoogleTest)
find_package(GTest REQUIRED)

# Debian's own, for the modules that Debian's packages bring; another python3 earlier in PATH would not see them.
find_program(REDISMUTEX_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)

# What ctest starts first. Tests that wait, most of the time, leave the processors to a compiler, which is started before them. What
# calculates all the time comes after both: it would take the processors from tests that measure time.
set(redismutex_cost_of_compiling 1000)
set(redismutex_cost_of_waiting_long 100)
set(redismutex_cost_of_waiting 10)

# redismutex_add_tests(LABEL [WAITING] SOURCES file... [LIBRARIES target...]): one program of GoogleTest tests, the target
# redismutex_LABEL_tests. Each test in it becomes a test of ctest's, named LABEL.Suite.Name and labelled LABEL. WAITING: they
# wait most of the time. They may include the library's internals, written as the library itself writes them: "net/link.hpp".
function(redismutex_add_tests label)
  cmake_parse_arguments(PARSE_ARGV 1 arg "WAITING" "" "SOURCES;LIBRARIES")
  set(target redismutex_${label}_tests)
  set(cost)
  if(arg_WAITING)
    set(cost COST ${redismutex_cost_of_waiting})
  endif()
  add_executable(${target} ${arg_SOURCES})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} PRIVATE redismutex::redismutex ${arg_LIBRARIES} GTest::gmock GTest::gtest_main)
  redismutex_warnings(${target})
  redismutex_compile_as(${target} tests)
  gtest_discover_tests(${target} TEST_PREFIX "${label}." DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${label} TIMEOUT 300 ${cost})
endfunction()

# redismutex_add_whole_test(NAME COMMAND...): a test of ctest's that is a whole program, which waits most of the time.
function(redismutex_add_whole_test name)
  string(REGEX REPLACE "\\..*" "" label ${name})
  add_test(NAME ${name} COMMAND ${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 300 COST ${redismutex_cost_of_waiting_long})
endfunction()
