#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "engine/places.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/refresh.hpp"

namespace redismutex::engine {

/// Places that are renewed together. They stay together from round to round, and the batch has copies of what is sent for them: the
/// memory of a waiter is touched when it joins, when it leaves, and when there is news of its place.
///
/// Guarded by Places::mutex_. While the batch is under way, what is sent points to its parts: then they stay where they are, and none is
/// added or taken out.
class PlacesBatch {
 public:
  static constexpr std::size_t most_parts = protocol::Refresh::most_items;

  // Of a place, in bytes. Longer ones are not renewed here.
  static constexpr std::size_t most_details = 64;

  /// Of one place. Nothing in it belongs to the waiter, which may leave while the batch is under way.
  struct Part {
    Places::Place* place;  // none: its waiter has left
    std::optional<protocol::Instant> renewed_at;
    bool is_first;  // in line, and its waiter knows
    protocol::Key key;
    protocol::OwnerId id;
    std::array<char, most_details> details;
    std::size_t details_size;
  };

  /// Throws std::bad_alloc. To add the first part can not fail, so that no batch stays empty.
  PlacesBatch(std::chrono::milliseconds delay_of_all, std::uint16_t slot_of_all, protocol::Instant due_at)
      : delay{delay_of_all}, slot{slot_of_all}, due{due_at} {
    parts_.reserve(1);
  }

  const std::chrono::milliseconds delay;
  const std::uint16_t slot;  // in a cluster, of all its keys; else protocol::no_slot
  protocol::Instant due;
  protocol::Instant sent_at;
  bool is_under_way = false;
  bool has_answer = false;
  Places::Batches::iterator position;  // in its group, or among those under way

  const std::vector<Part>& parts() const noexcept { return parts_; }
  bool has_room() const noexcept { return parts_.size() < most_parts; }

  /// While it has room. Throws std::bad_alloc; then nothing has changed.
  void add(const Part& part) {
    parts_.push_back(part);
    is_changed_ = true;
    part.place->batch_ = this;
    part.place->part_ = parts_.size() - 1;
  }

  /// As many as it has room for. Throws as add(); what was not moved stays where it is.
  void take_from(PlacesBatch& other) {
    for (; has_room() && !other.parts_.empty(); other.parts_.pop_back()) {
      other.is_changed_ = true;
      add(other.parts_.back());
    }
  }

  /// The waiter leaves, or has to ask by itself. Its part goes with it, unless the batch is under way.
  void remove(std::size_t index) noexcept {
    Part& part = parts_[index];
    Places::Place& place = *std::exchange(part.place, nullptr);
    place.batch_ = nullptr;
    place.renewed_at_ = part.renewed_at;
    if (!is_under_way) take_out(index);
  }

  /// Begins a round. Throws std::bad_alloc; then nothing has begun.
  void begin(protocol::Instant now) {
    if (is_changed_) machine_.emplace(items(), delay);
    is_changed_ = false;
    sent_at = now;
    has_answer = false;
    is_under_way = true;
  }

  /// Of the round that has begun, until its end.
  protocol::Refresh& machine() noexcept { return *machine_; }

  /// Ends the round. Calls `on_news(part, how)` for each place of which its waiter has to know something; it is in the batch no more.
  template <class OnNews>
  void end(const OnNews& on_news) noexcept {
    using protocol::Refreshed;
    is_under_way = false;
    due = sent_at + delay;
    const auto* const answer = std::get_if<std::vector<Refreshed>>(&machine_->outcome());
    // From the end, because the last part takes the place of one that is taken out.
    for (std::size_t i = parts_.size(); i-- > 0;) {
      Part& part = parts_[i];
      if (part.place == nullptr) {
        take_out(i);
        continue;
      }
      const Refreshed how = has_answer && answer != nullptr ? (*answer)[i] : Refreshed::no_place;
      if (how != Refreshed::no_place) part.renewed_at = sent_at;
      const bool is_news = how == Refreshed::no_place || (how == Refreshed::first && !part.is_first);
      part.is_first = how == Refreshed::first;
      if (!is_news) continue;
      on_news(part.id, how);
      remove(i);
    }
  }

 private:
  std::vector<protocol::Refresh::Item> items() const {
    std::vector<protocol::Refresh::Item> items;
    items.reserve(parts_.size());
    for (const Part& part : parts_) items.push_back({&part.key, &part.id, {part.details.data(), part.details_size}});
    return items;
  }

  void take_out(std::size_t index) noexcept {
    is_changed_ = true;
    if (index + 1 < parts_.size()) {
      parts_[index] = std::move(parts_.back());
      if (parts_[index].place != nullptr) parts_[index].place->part_ = index;
    }
    parts_.pop_back();
  }

  std::vector<Part> parts_;
  std::optional<protocol::Refresh> machine_;
  bool is_changed_ = true;  // since the machine was made
};

}  // namespace redismutex::engine
