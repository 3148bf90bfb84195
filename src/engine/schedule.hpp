#pragma once

#include <cstddef>

#include "protocol/instant.hpp"

namespace redismutex::engine {

/// Things in the order of the times at which they are due, without memory of its own: a pairing heap. Adding costs a constant,
/// taking out the logarithm of the size. Not thread-safe.
class Schedule final {
 public:
  /// Of something that is in at most one schedule, and out of it when it goes.
  class Node {
   public:
    Node() = default;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    bool is_scheduled() const noexcept { return scheduled_; }
    protocol::Instant due() const noexcept { return due_; }

   protected:
    ~Node() = default;

   private:
    friend class Schedule;
    bool scheduled_ = false;
    protocol::Instant due_;
    Node* child_ = nullptr;     // the first of them: they are due later
    Node* next_ = nullptr;      // child of the same parent
    Node* previous_ = nullptr;  // the same, or the parent
  };

  Schedule() = default;
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;

  /// Which is due first; none: it is empty.
  Node* first() const noexcept { return first_; }
  std::size_t size() const noexcept { return size_; }

  void add(Node& node, protocol::Instant due) noexcept;
  void remove(Node& node) noexcept;

 private:
  static Node* join(Node* one, Node* other) noexcept;
  static Node* join_all(Node* siblings) noexcept;

  Node* first_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace redismutex::engine
