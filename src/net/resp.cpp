#include "net/resp.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace redismutex::net {
namespace {

// Of a line with a number in it: the sign of its type, a number of 64 bits, the line's end.
constexpr std::size_t longest_short_line = 1 + std::string_view{"-9223372036854775808"}.size() + 2;

// What a rare large reply took beyond this is given back.
constexpr std::size_t kept_bytes = std::size_t{64} * 1024;
constexpr std::size_t kept_nodes = 1024;

constexpr std::string_view verbatim_format = "txt:";  // or three other letters

/// As the protocol writes them: no plus sign, no zeros in front.
std::optional<std::int64_t> read_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  const bool has_zeros_in_front = text.starts_with("-0") || (text.starts_with('0') && text.size() > 1);
  return has_zeros_in_front ? std::nullopt : std::optional{number};
}

/// Takes digits off the front. Whether there were any.
bool take_digits(std::string_view& text) {
  const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
  text.remove_prefix(count);
  return count > 0;
}

void take_plus_or_minus(std::string_view& text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
}

bool is_big_number(std::string_view text) {
  take_plus_or_minus(text);
  return take_digits(text) && text.empty();
}

bool is_real(std::string_view text) {
  take_plus_or_minus(text);
  if (text == "inf" || text == "nan") return true;
  if (!take_digits(text)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (!take_digits(text)) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    return is_big_number(text);
  }
  return text.empty();
}

/// A byte as a message shows it.
std::string quoted(char byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(byte);
  if (byte > ' ' && byte <= '~') return {'"', byte, '"'};
  return {'"', '\\', 'x', digits[value >> 4U], digits[value & 15U], '"'};
}

/// What begins with this sign.
std::string_view name_of(char sign) {
  switch (sign) {
    case '!': return "an error";
    case '%': return "a map";
    case '~': return "a set";
    case '>': return "a push";
    case '|': return "an attribute";
    case '*': return "an array";
    default: return "a string";
  }
}

}  // namespace

void Resp::reserve() {
  constexpr std::size_t small_bytes = 1024, small_nodes = 32;
  bytes_.reserve(small_bytes);
  nodes_.reserve(small_nodes);
}

void Resp::feed(std::string_view bytes) {
  drop_last();
  if (!problem_.empty()) return;
  bytes_.erase(0, begin_);
  begin_ = 0;
  if (bytes_.empty() && bytes_.capacity() > kept_bytes) std::string{}.swap(bytes_);
  bytes_ += bytes;
}

std::optional<ReplyView> Resp::next() {
  drop_last();
  if (!problem_.empty()) return std::nullopt;
  while (parse_value()) {
    complete_ = depth_ == 0 && !nodes_.empty();
    if (complete_) return ReplyView{nodes_.data(), bytes_.data() + begin_};
  }
  return std::nullopt;
}

void Resp::drop_last() {
  if (!complete_) return;
  complete_ = false;
  begin_ += at_;
  at_ = 0;
  nodes_.clear();
  if (nodes_.capacity() > kept_nodes) std::vector<ReplyNode>{}.swap(nodes_);
}

// ---- values ---------------------------------------------------------------------------------------------------------

bool Resp::parse_value() {
  if (begin_ + at_ == bytes_.size()) return false;
  switch (sign()) {
    case '+': return parse_text(ReplyType::simple_string);
    case '-': return parse_text(ReplyType::error);
    case ',': return parse_text(ReplyType::real);
    case '(': return parse_text(ReplyType::big_number);
    case ':': return parse_integer();
    case '_': return parse_null();
    case '#': return parse_boolean();
    case '$': return parse_sized_text(ReplyType::bulk_string);
    case '=': return parse_sized_text(ReplyType::verbatim_string);
    case '!': return parse_sized_text(ReplyType::error);
    case '*': return parse_list(ReplyType::array);
    case '~': return parse_list(ReplyType::set);
    case '%': return parse_list(ReplyType::map);
    case '>': return parse_list(ReplyType::push);
    case '|': return parse_list(ReplyType::map);
    default: return refuse("got " + quoted(sign()) + " where a reply begins");
  }
}

bool Resp::parse_integer() {
  const auto line = short_line();
  if (!line) return false;
  const auto number = read_number(line->text);
  if (!number) return refuse("an integer that is no number of 64 bits");
  return add({.value = *number, .size = 0, .type = ReplyType::integer}, line->size);
}

bool Resp::parse_null() {
  const auto line = short_line();
  if (!line) return false;
  if (!line->text.empty()) return refuse("a null with a value");
  return add({.value = 0, .size = 0, .type = ReplyType::null}, line->size);
}

bool Resp::parse_boolean() {
  const auto line = short_line();
  if (!line) return false;
  if (line->text != "t" && line->text != "f") return refuse("a boolean that is neither true nor false");
  return add({.value = line->text == "t" ? 1 : 0, .size = 0, .type = ReplyType::boolean}, line->size);
}

bool Resp::parse_text(ReplyType type) {
  const auto line = this->line();
  if (!line) return false;
  if (type == ReplyType::real && !is_real(line->text)) return refuse("a fraction that is no number");
  if (type == ReplyType::big_number && !is_big_number(line->text)) return refuse("a big number that is no number");
  const auto begin = static_cast<std::int64_t>(at_ + 1);
  return add({.value = begin, .size = static_cast<std::uint32_t>(line->text.size()), .type = type}, line->size);
}

bool Resp::parse_sized_text(ReplyType type) {
  const auto length = this->length();
  if (!length) return false;
  if (length->value < 0) return add({.value = 0, .size = 0, .type = ReplyType::null}, length->line_size);
  if (length->value > static_cast<std::int64_t>(limits_.size)) return refuse_size();
  const auto said = static_cast<std::size_t>(length->value);
  const std::size_t size = length->line_size + said + line_end.size();
  if (at_ + size > limits_.size) return refuse_size();
  const std::string_view there = std::string_view{bytes_}.substr(begin_ + at_, size);
  if (there.size() < size) return false;
  if (!there.ends_with(line_end)) return refuse(std::string{name_of(sign())} + " of another length than was said");

  std::size_t begin = length->line_size;
  if (type == ReplyType::verbatim_string) {
    begin += verbatim_format.size();
    if (said < verbatim_format.size() || there[begin - 1] != verbatim_format.back()) {
      return refuse("a verbatim string that does not say of what format it is");
    }
  }
  return add({.value = static_cast<std::int64_t>(at_ + begin),
              .size = static_cast<std::uint32_t>(size - line_end.size() - begin),
              .type = type},
             size);
}

bool Resp::parse_list(ReplyType type) {
  if (type == ReplyType::push && depth_ > 0) return refuse("a push within a reply");
  const auto length = this->length();
  if (!length) return false;
  if (length->value < 0) return add({.value = 0, .size = 0, .type = ReplyType::null}, length->line_size);
  if (length->value > limits_.elements) {
    problem_ = "a reply in which a list has more than " + std::to_string(limits_.elements) + " elements";
    return false;
  }
  if (depth_ == max_depth) {
    problem_ = "a reply of more than " + std::to_string(max_depth) + " levels";
    return false;
  }
  const bool is_attribute = sign() == '|';
  const auto elements = static_cast<std::uint32_t>(length->value * (type == ReplyType::map ? 2 : 1));
  if (!append({.value = 1, .size = elements, .type = type}, length->line_size)) return false;
  open_[depth_++] = {nodes_.size() - 1, elements, is_attribute};
  close_complete_lists();
  return true;
}

bool Resp::add(ReplyNode node, std::size_t size) {
  if (!append(node, size)) return false;
  if (depth_ > 0) --open_[depth_ - 1].missing;
  close_complete_lists();
  return true;
}

bool Resp::append(ReplyNode node, std::size_t size) {
  if (at_ + size > limits_.size) return refuse_size();
  if (nodes_.size() == limits_.values) {
    problem_ = "a reply of more than " + std::to_string(limits_.values) + " values";
    return false;
  }
  nodes_.push_back(node);
  at_ += size;
  searched_ = 0;
  return true;
}

void Resp::close_complete_lists() {
  while (depth_ > 0 && open_[depth_ - 1].missing == 0) {
    const Open closed = open_[--depth_];
    if (closed.is_attribute) {  // is no value: the one it belongs to follows
      nodes_.resize(closed.node);
      return;
    }
    nodes_[closed.node].value = static_cast<std::int64_t>(nodes_.size() - closed.node);
    if (depth_ > 0) --open_[depth_ - 1].missing;
  }
}

// ---- lines ----------------------------------------------------------------------------------------------------------

/// What is decided here is decided by the same bytes however they come: a line is too long when it can not end in time, and
/// not when so much of it is there.
std::optional<Resp::Line> Resp::line() {
  const std::string_view there = std::string_view{bytes_}.substr(begin_ + at_, limits_.size - at_);
  const std::size_t end = there.find('\n', searched_);
  if (end == std::string_view::npos) {
    searched_ = there.size();
    if (there.size() == limits_.size - at_) refuse_size();
    return std::nullopt;
  }
  if (there.find('\r') != end - 1) {
    refuse("a line that does not end in CR LF");
    return std::nullopt;
  }
  return Line{there.substr(1, end - 2), end + 1};
}

/// Where a number is to stand, or less. Of a line that is too long for one: its beginning, which is no number either.
std::optional<Resp::Line> Resp::short_line() {
  const std::size_t longest = std::min(longest_short_line, limits_.size - at_);
  const std::string_view there = std::string_view{bytes_}.substr(begin_ + at_, longest);
  const bool is_too_long = there.size() == longest_short_line && there.find('\n') == std::string_view::npos;
  return is_too_long ? std::optional{Line{there.substr(1), there.size()}} : line();
}

/// Behind the sign of what is told its length first. Less than 0, if it is a null of the protocol's second version.
std::optional<Resp::Length> Resp::length() {
  const auto line = short_line();
  if (!line) return std::nullopt;
  const std::string_view name = name_of(sign());
  const auto number = read_number(line->text);
  const bool may_be_null = sign() == '$' || sign() == '*';
  if (line->text == "?") {
    refuse(std::string{name} + " whose length is told later, which no server sends");
  } else if (!number) {
    refuse("the length of " + std::string{name} + " is no number");
  } else if (*number < (may_be_null ? -1 : 0)) {
    refuse("the length of " + std::string{name} + " is less than nothing");
  } else {
    return Length{*number, line->size};
  }
  return std::nullopt;
}

bool Resp::refuse(std::string_view what) {
  problem_ = "not the protocol of a Redis server: ";
  problem_ += what;
  return false;
}

bool Resp::refuse_size() {
  problem_ = "a reply of more than " + std::to_string(limits_.size) + " bytes";
  return false;
}

}  // namespace redismutex::net
