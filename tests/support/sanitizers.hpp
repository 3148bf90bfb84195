#pragma once

namespace redismutex::testing {

#if defined(__has_feature)
#define REDISMUTEX_HAS_FEATURE(feature) __has_feature(feature)
#else
#define REDISMUTEX_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_THREAD__) || REDISMUTEX_HAS_FEATURE(thread_sanitizer)
constexpr bool under_thread_sanitizer = true;
#else
constexpr bool under_thread_sanitizer = false;
#endif

#if defined(__SANITIZE_ADDRESS__) || REDISMUTEX_HAS_FEATURE(address_sanitizer)
constexpr bool under_address_sanitizer = true;
#else
constexpr bool under_address_sanitizer = false;
#endif

/// Slow, and with a heap of its own that keeps what was freed.
constexpr bool sanitized = under_thread_sanitizer || under_address_sanitizer;

#undef REDISMUTEX_HAS_FEATURE

}  // namespace redismutex::testing
