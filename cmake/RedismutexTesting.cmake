include(GoogleTest)
find_package(GTest REQUIRED)

# Debian's own, for the modules that Debian's packages bring; another python3 earlier in PATH would not see them.
find_program(REDISMUTEX_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)

# redismutex_add_tests(LABEL SOURCES file... [LIBRARIES target...]): one program of GoogleTest tests, the target
# redismutex_LABEL_tests. Each test in it becomes a test of ctest's, named LABEL.Suite.Name and labelled LABEL. It may
# include the library's internals, written as the library itself writes them: "net/link.hpp".
function(redismutex_add_tests label)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  set(target redismutex_${label}_tests)
  add_executable(${target} ${arg_SOURCES})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} PRIVATE redismutex::redismutex ${arg_LIBRARIES} GTest::gmock GTest::gtest_main)
  redismutex_warnings(${target})
  redismutex_compile_as(${target} tests)
  gtest_discover_tests(${target} TEST_PREFIX "${label}." DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${label} TIMEOUT 300)
endfunction()
