#pragma once

#include <chrono>
#include <string>
#include <string_view>

/// JSON by hand, for the program that may not have a library for it: small objects of a fixed form.
namespace redismutex::cli {

/// The text as a JSON string, with its quotes. Bytes that are not UTF-8 are written as \xNN are in C, so that the result is always
/// valid JSON: see base64() for those who need them.
std::string json_string(std::string_view text);

/// Whether all of it is UTF-8.
bool is_utf8(std::string_view text);

/// RFC 4648, with padding.
std::string base64(std::string_view bytes);

/// A number of seconds, with a fraction if there is one: 7, 0.5.
std::string json_seconds(std::chrono::milliseconds duration);

/// `"key":…`, and `,"key_base64":…` behind it if the key is not UTF-8.
std::string json_key(std::string_view key);

}  // namespace redismutex::cli
