#include "net/reply.hpp"

#include <algorithm>
#include <utility>

namespace redismutex::net {

ReplyView ReplyView::operator[](std::size_t index) const {
  Iterator at = begin();
  for (; index > 0; --index) ++at;
  return *at;
}

void Reply::keep(ReplyView view) {
  node_count_ = text_size_ = 0;
  many_.reset();
  long_.reset();
  const std::span<const ReplyNode> nodes = view.nodes();
  std::size_t text_size = 0;
  for (const ReplyNode& node : nodes) text_size += node.has_text() ? node.size : 0;
  // NOLINTBEGIN(modernize-avoid-c-arrays): of a size that is known now
  if (nodes.size() > few_nodes) many_ = std::make_unique_for_overwrite<ReplyNode[]>(nodes.size());
  if (text_size > short_text) long_ = std::make_unique_for_overwrite<char[]>(text_size);
  // NOLINTEND(modernize-avoid-c-arrays)

  ReplyNode* kept = many_ ? many_.get() : few_.data();
  char* const texts = long_ ? long_.get() : short_.data();
  for (const ReplyNode& node : nodes) {
    *kept = node;
    if (node.has_text()) {
      std::copy_n(view.text_ + node.value, node.size, texts + text_size_);
      kept->value = text_size_;
      text_size_ += node.size;
    }
    ++kept;
  }
  node_count_ = static_cast<std::uint32_t>(nodes.size());
}

void Reply::take(Reply& other) noexcept {
  node_count_ = std::exchange(other.node_count_, 0);
  text_size_ = std::exchange(other.text_size_, 0);
  many_ = std::move(other.many_);
  long_ = std::move(other.long_);
  if (!many_) std::copy_n(other.few_.data(), node_count_, few_.data());
  if (!long_) std::copy_n(other.short_.data(), text_size_, short_.data());
}

}  // namespace redismutex::net
