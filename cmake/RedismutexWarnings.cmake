# redismutex_warnings(TARGET...): the warnings our own code is held to. Silent inside another project's build, whose
# compiler may know warnings that ours does not.
function(redismutex_warnings)
  if(NOT PROJECT_IS_TOP_LEVEL)
    return()
  endif()
  set(flags
      -Wall
      -Wextra
      -Wno-missing-field-initializers # a member that designated initializers leave out is left out on purpose
      -Wpedantic
      -Wshadow
      -Wconversion
      -Wsign-conversion
      -Wcast-qual
      -Wnon-virtual-dtor
      -Woverloaded-virtual
      -Wdouble-promotion
      -Wformat=2
      -Wimplicit-fallthrough
      -Wundef)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # At -O3 g++ 12 takes a short literal in front of a std::string for an overlapping copy (GCC bug 105651).
    list(APPEND flags -Wduplicated-cond -Wduplicated-branches -Wno-restrict)
  else()
    # g++ also sees the old-style casts in OpenSSL's macros.
    list(APPEND flags -Wold-style-cast -Wthread-safety -Wextra-semi -Wunreachable-code)
  endif()
  if(REDISMUTEX_WERROR)
    list(APPEND flags -Werror)
  endif()
  foreach(target IN LISTS ARGN)
    target_compile_options(${target} PRIVATE ${flags})
  endforeach()
endfunction()
