#include "engine/schedule.hpp"

#include <utility>

namespace redismutex::engine {

void Schedule::add(Node& node, protocol::Instant due) noexcept {
  node.due_ = due;
  node.scheduled_ = true;
  first_ = join(first_, &node);
  ++size_;
}

void Schedule::remove(Node& node) noexcept {
  if (&node == first_) {
    first_ = join_all(std::exchange(node.child_, nullptr));
  } else {
    (node.previous_->child_ == &node ? node.previous_->child_ : node.previous_->next_) = node.next_;
    if (node.next_ != nullptr) node.next_->previous_ = node.previous_;
    node.next_ = node.previous_ = nullptr;
    first_ = join(first_, join_all(std::exchange(node.child_, nullptr)));
  }
  node.scheduled_ = false;
  --size_;
}

/// Two that have no parent and no siblings.
Schedule::Node* Schedule::join(Node* one, Node* other) noexcept {
  if (one == nullptr || other == nullptr) return one != nullptr ? one : other;
  if (other->due_ < one->due_) std::swap(one, other);
  other->next_ = one->child_;
  if (other->next_ != nullptr) other->next_->previous_ = other;
  other->previous_ = one;
  one->child_ = other;
  return one;
}

/// In pairs first, and then from the last pair to the first: that is what makes it cheap on the average.
Schedule::Node* Schedule::join_all(Node* siblings) noexcept {
  const auto take = [&siblings] {
    Node* const node = siblings;
    if (node != nullptr) siblings = node->next_;
    if (node != nullptr) node->next_ = node->previous_ = nullptr;
    return node;
  };
  Node* pairs = nullptr;
  while (Node* const one = take()) {
    Node* const pair = join(one, take());
    pair->next_ = pairs;
    pairs = pair;
  }
  Node* all = nullptr;
  while (Node* const pair = pairs) {
    pairs = std::exchange(pair->next_, nullptr);
    all = join(all, pair);
  }
  return all;
}

}  // namespace redismutex::engine
