#pragma once

/// What the library needs, and how its names are exported. Each public header includes this one before anything else, so that
/// a program which cannot be compiled is told so in one sentence.

#include <cstddef>  // in which libstdc++ says that it is there

// A missing file ends the compilation. After a mere #error the compiler would add a page about what it does not know.
#if !defined(__linux__)
#error "redismutex runs on Linux only"
#include <redismutex/see_the_error_above>
#elif __cplusplus < 202002L
#error "redismutex needs C++20: compile with -std=c++20 or newer"
#include <redismutex/see_the_error_above>
#elif !defined(__cpp_exceptions)
#error "redismutex needs exceptions: compile without -fno-exceptions"
#include <redismutex/see_the_error_above>
#elif !defined(__GLIBCXX__)
#error "redismutex needs libstdc++: compile without -stdlib=libc++"
#include <redismutex/see_the_error_above>
#endif

#include <redismutex/version.hpp>

/// Marks what the shared library exports; nothing else is. In a static library nothing is exported, so that a plugin which
/// links it keeps it to itself. REDISMUTEX_SHARED is defined by the CMake target and by pkg-config.
/// REDISMUTEX_LOCAL marks what is not exported although its class is.
#ifdef REDISMUTEX_SHARED
#define REDISMUTEX_EXPORT [[gnu::visibility("default")]]
#define REDISMUTEX_LOCAL [[gnu::visibility("hidden")]]
#else
#define REDISMUTEX_EXPORT
#define REDISMUTEX_LOCAL
#endif

#include <string_view>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// The version of the library that runs, as in "1.2.3"; REDISMUTEX_VERSION is that of the headers.
REDISMUTEX_EXPORT std::string_view version() noexcept;

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
