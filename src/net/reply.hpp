#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>

namespace redismutex::net {

/// What a server answers with. `error`, and all types but the strings, stand for both forms that the protocol has of them,
/// where it has two.
enum class ReplyType : std::uint8_t {
  null,
  boolean,
  integer,
  real,        ///< a number with a fraction; as text
  big_number,  ///< an integer of any length; as text
  simple_string,
  bulk_string,
  verbatim_string,  ///< its text comes without the three letters that name its format
  error,
  array,
  set,
  map,
  push,  ///< not an answer: the server has news
};

/// One value of a reply. A list is followed by its elements, each of them by its own: so a reply is one array.
struct ReplyNode {
  std::int64_t
      value;  ///< an integer, a boolean; of a text, where it begins; of a list, how many nodes it is with its own
  std::uint32_t size;  ///< bytes of a text; elements of a list, where a map's keys and values are one each
  ReplyType type;

  bool is_list() const noexcept { return type >= ReplyType::array; }
  bool has_text() const noexcept { return type >= ReplyType::real && type <= ReplyType::error; }
};

/// A reply, or one of the values in it, where somebody else keeps it.
class ReplyView {
 public:
  class Iterator;

  /// `node` is followed by its elements; `text` is what the nodes' texts begin in.
  ReplyView(const ReplyNode* node, const char* text) : node_{node}, text_{text} {}

  ReplyType type() const noexcept { return node_->type; }
  bool is_error() const noexcept { return type() == ReplyType::error; }
  bool is_string() const noexcept { return type() >= ReplyType::simple_string && type() <= ReplyType::verbatim_string; }
  bool is_list() const noexcept { return node_->is_list(); }

  /// Of an integer, or 1 for true; else 0.
  std::int64_t integer() const noexcept { return is_list() || node_->has_text() ? 0 : node_->value; }

  /// Of a string or an error, and the digits of a real or big number; else empty.
  std::string_view text() const noexcept {
    return node_->has_text() ? std::string_view{text_ + node_->value, node_->size} : std::string_view{};
  }

  /// The elements of a list: in a map, each key and then its value. Nothing else has any.
  std::size_t size() const noexcept { return is_list() ? node_->size : 0; }
  ReplyView operator[](std::size_t index) const;  ///< less than size(); walks past those before it
  Iterator begin() const;
  Iterator end() const;

  /// The value itself and all that is in it.
  std::span<const ReplyNode> nodes() const noexcept { return {node_, node_count()}; }

 private:
  friend class Reply;

  std::size_t node_count() const noexcept { return is_list() ? static_cast<std::size_t>(node_->value) : 1; }

  const ReplyNode* node_;
  const char* text_;
};

class ReplyView::Iterator {
 public:
  using difference_type = std::ptrdiff_t;
  using value_type = ReplyView;
  using reference = ReplyView;
  using pointer = const ReplyView*;
  using iterator_category = std::input_iterator_tag;

  explicit Iterator(ReplyView at) : at_{at} {}

  ReplyView operator*() const { return at_; }
  const ReplyView* operator->() const { return &at_; }
  Iterator& operator++() {
    at_.node_ += at_.node_count();
    return *this;
  }
  Iterator operator++(int) {
    const Iterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Iterator& other) const { return at_.node_ == other.at_.node_; }

 private:
  ReplyView at_;
};

inline ReplyView::Iterator ReplyView::begin() const { return Iterator{ReplyView{node_ + 1, text_}}; }
inline ReplyView::Iterator ReplyView::end() const { return Iterator{ReplyView{node_ + node_count(), text_}}; }

/// A reply that is kept, or none. A small one, as nearly all of ours are, needs no memory of its own.
class Reply {
 public:
  static constexpr std::size_t few_nodes = 8;
  static constexpr std::size_t short_text = 96;  ///< bytes of all its texts together

  Reply() = default;
  explicit Reply(ReplyView view) { keep(view); }
  Reply(Reply&& other) noexcept { take(other); }
  Reply& operator=(Reply&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  ~Reply() = default;

  /// In place of what it has kept so far. Throws std::bad_alloc; then it keeps none.
  void keep(ReplyView view);

  explicit operator bool() const noexcept { return node_count_ > 0; }

  /// Of a reply that is there.
  ReplyView operator*() const noexcept {
    return {many_ ? many_.get() : few_.data(), long_ ? long_.get() : short_.data()};
  }

 private:
  void take(Reply& other) noexcept;

  std::uint32_t node_count_ = 0;
  std::uint32_t text_size_ = 0;
  std::unique_ptr<ReplyNode[]> many_;     // NOLINT(modernize-avoid-c-arrays): in place of few_
  std::unique_ptr<char[]> long_;          // NOLINT(modernize-avoid-c-arrays): in place of short_
  std::array<ReplyNode, few_nodes> few_;  // neither is written beyond what there is
  std::array<char, short_text> short_;
};

}  // namespace redismutex::net
