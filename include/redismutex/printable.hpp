#pragma once

#include <redismutex/config.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// Text from outside, such as a key, as a message can show it: in one line, and without effect on a terminal. Control
/// characters (C0, DEL and C1) and bytes that are no UTF-8 are escaped: `\n`, `\r`, `\t`, else `\x1b`. All of this library's
/// messages are made so.
///
/// At most `longest` bytes are returned, and `...` where something was left out; no character and no escape is cut.
REDISMUTEX_EXPORT std::string printable(std::string_view text, std::size_t longest = std::string_view::npos);

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
