#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace redismutex::memory {

/// What a server sends: an answer, or a push. The elements of a map are its keys, each followed by its value.
struct Value {
  enum class Kind { nil, integer, real, bulk, status, error, array, map, push };

  Kind kind = Kind::nil;
  std::string text = {};
  std::int64_t integer = 0;
  std::vector<Value> elements = {};

  bool operator==(const Value&) const = default;

  static Value nil() { return {}; }
  static Value number(std::int64_t number) { return {.kind = Kind::integer, .integer = number}; }
  static Value real(std::string digits) { return {.kind = Kind::real, .text = std::move(digits)}; }
  static Value bulk(std::string text) { return {.kind = Kind::bulk, .text = std::move(text)}; }
  static Value status(std::string text) { return {.kind = Kind::status, .text = std::move(text)}; }
  static Value error(std::string text) { return {.kind = Kind::error, .text = std::move(text)}; }
  static Value array(std::vector<Value> elements) { return {.kind = Kind::array, .elements = std::move(elements)}; }
  static Value map(std::vector<Value> elements) { return {.kind = Kind::map, .elements = std::move(elements)}; }
  static Value push(std::vector<Value> elements) { return {.kind = Kind::push, .elements = std::move(elements)}; }
};

}  // namespace redismutex::memory
