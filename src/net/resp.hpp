#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/reply.hpp"

namespace redismutex::net {

inline constexpr std::string_view line_end = "\r\n";

/// Makes replies of the bytes that come from a server, however they are cut: versions 2 and 3 of the protocol of Redis.
///
/// Strict, and within limits: what is not the protocol, and what is larger than any reply that we ask for, is a problem, after
/// which nothing more comes. What no server sends is a problem too: replies of a length that is told later ("$?"), and pushes
/// within replies. Attributes are read and dropped.
///
/// Pure: no socket, lock or clock. Allocates no memory for small replies, once it has seen one.
class Resp {
 public:
  /// Of one reply, in bytes as they come. The largest are CLUSTER SLOTS of a cluster in which each slot is alone, 10 MB with two replicas of
  /// each master, and CLIENT LIST.
  static constexpr std::size_t max_size = std::size_t{16} * 1024 * 1024;
  static constexpr std::size_t max_depth = 16;             ///< lists within lists
  static constexpr std::int64_t max_elements = 16 * 1024;  ///< of one list; of a map, pairs

  /// Of one reply, those in its lists and the lists themselves: a value of three bytes takes a hundred in the memory of those who read it.
  /// CLUSTER SLOTS has 400,000 there.
  static constexpr std::size_t max_values = std::size_t{512} * 1024;

  struct Limits {
    std::size_t size;       // not more than 2^30
    std::int64_t elements;  // the same
    std::size_t values;
  };
  static constexpr Limits of_server{.size = max_size, .elements = max_elements, .values = max_values};

  /// For those who may not be what they are taken for, and for sentinels, of whom there are many.
  static constexpr Limits of_stranger{.size = max_size / 16, .elements = max_elements, .values = max_values / 16};

  Resp() : Resp{of_server} {}
  explicit Resp(Limits limits) : limits_{limits} {}

  /// These are wider than those before, and hold from now on.
  void widen(Limits limits) noexcept { limits_ = limits; }

  /// From now on small replies need no memory, the first one included.
  void reserve();

  /// Adds what has come.
  void feed(std::string_view bytes);

  /// The next reply that is complete, or none: then see problem(). Valid until feed() or next() is called again.
  std::optional<ReplyView> next();

  /// What is wrong with the bytes; empty as long as all is well.
  const std::string& problem() const noexcept { return problem_; }

 private:
  /// A list whose elements have not all come yet.
  struct Open {
    std::size_t node;       // which it is
    std::uint32_t missing;  // elements
    bool is_attribute;
  };

  struct Line {
    std::string_view text;  // without sign and end
    std::size_t size;       // with them
  };
  struct Length {
    std::int64_t value;
    std::size_t line_size;
  };

  void drop_last();

  // Each of these reads one value, or a list's beginning; or says that bytes are missing, or what is wrong (false, nothing).
  bool parse_value();
  bool parse_integer();
  bool parse_null();
  bool parse_boolean();
  bool parse_text(ReplyType type);
  bool parse_sized_text(ReplyType type);
  bool parse_list(ReplyType type);

  char sign() const { return bytes_[begin_ + at_]; }
  std::optional<Line> line();
  std::optional<Line> short_line();
  std::optional<Length> length();
  bool add(ReplyNode node, std::size_t size);
  bool append(ReplyNode node, std::size_t size);
  void close_complete_lists();

  bool refuse(std::string_view what);
  bool refuse_size();

  Limits limits_;
  std::string bytes_;         // those of replies that are not complete yet, and of the last one
  std::size_t begin_ = 0;     // where in bytes_ the present reply begins
  std::size_t at_ = 0;        // how much of it is parsed
  std::size_t searched_ = 0;  // in how many of the bytes behind that no line ends
  std::vector<ReplyNode> nodes_;
  std::array<Open, max_depth> open_{};
  std::size_t depth_ = 0;
  bool complete_ = false;  // the present reply was given to the caller
  std::string problem_;
};

}  // namespace redismutex::net
