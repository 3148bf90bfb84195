#pragma once

#include <cstddef>

namespace redismutex::net {

template <class Item>
class List;

/// The place of an item in a List of its kind: a base of the item.
template <class Item>
class Listed {
 private:
  friend class List<Item>;

  Item* previous_ = nullptr;
  Item* next_ = nullptr;
  bool listed_ = false;
};

/// Items in an order, without memory of its own: adding and taking out can not fail, and cost the same however many there are. An
/// item is in one list at most, and leaves it before it goes. Not thread-safe.
template <class Item>
class List {
 public:
  Item* first() const noexcept { return first_; }
  Item* last() const noexcept { return last_; }
  static Item* next(const Item& item) noexcept { return place(item).next_; }
  static Item* previous(const Item& item) noexcept { return place(item).previous_; }
  std::size_t size() const noexcept { return size_; }
  static bool holds(const Item& item) noexcept { return place(item).listed_; }

  void append(Item& item) noexcept { insert(last_, item, nullptr); }
  void prepend(Item& item) noexcept { insert(nullptr, item, first_); }

  /// Does nothing if it is in no list.
  void remove(Item& item) noexcept {
    // Member by member: what follows the base in an item may lie in the base's padding, and belong to another thread.
    if (!place(item).listed_) return;
    Item* const previous = place(item).previous_;
    Item* const next = place(item).next_;
    (previous != nullptr ? place(*previous).next_ : first_) = next;
    (next != nullptr ? place(*next).previous_ : last_) = previous;
    place(item).previous_ = place(item).next_ = nullptr;
    place(item).listed_ = false;
    --size_;
  }

 private:
  static Listed<Item>& place(Item& item) noexcept { return item; }
  static const Listed<Item>& place(const Item& item) noexcept { return item; }

  void insert(Item* previous, Item& item, Item* next) noexcept {
    place(item).previous_ = previous;
    place(item).next_ = next;
    place(item).listed_ = true;
    (previous != nullptr ? place(*previous).next_ : first_) = &item;
    (next != nullptr ? place(*next).previous_ : last_) = &item;
    ++size_;
  }

  Item* first_ = nullptr;
  Item* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace redismutex::net
