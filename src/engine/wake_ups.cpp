#include "engine/wake_ups.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "protocol/lease.hpp"
#include "protocol/number.hpp"
#include "protocol/slot.hpp"

namespace redismutex::engine {
namespace {

constexpr std::int64_t us_a_second = 1'000'000;

// The year 2255, as far as a script's numbers are whole. Later times would overflow where they are compared with ours.
constexpr std::int64_t latest_s = (std::int64_t{1} << 53) / us_a_second;

/// What a message says of the waiter with this id, as lua/line.lua sends it.
struct Message {
  std::string_view id;
  std::int64_t ms = 0;      // of the lease that it is handed, or that it waits for
  bool grants = false;      // else it is only first in line now
  std::int64_t now_s = 0;   // the server's time, as TIME tells it
  std::int64_t now_us = 0;  // of that second
  std::int64_t token = 0;
};

/// "id claim seconds microseconds token" or "id first ms".
std::optional<Message> parse(std::string_view text) {
  const auto next_word = [&text] {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    return word;
  };
  const auto read = [](std::string_view digits, std::int64_t& value) {
    value = protocol::number_in<std::int64_t>(digits).value_or(-1);
    return value >= 0;
  };
  Message message{.id = next_word()};
  const std::string_view word = next_word();
  message.grants = word != "first";
  bool complete = read(message.grants ? word : next_word(), message.ms);
  if (message.grants) {
    complete = complete && read(next_word(), message.now_s) && read(next_word(), message.now_us) &&
               read(next_word(), message.token);
  }
  const bool plausible =
      message.ms <= protocol::longest_duration.count() && message.now_s < latest_s && message.now_us < us_a_second;
  return complete && text.empty() && plausible ? std::optional{message} : std::nullopt;
}

}  // namespace

// ---- an inbox -------------------------------------------------------------------------------------------------------

Inbox::Inbox(WakeUps& wake_ups, const protocol::Key& key, const protocol::OwnerId& id, route::Waker& waker)
    : wake_ups_{wake_ups}, key_{key}, id_{id.text()}, waker_{&waker} {}

Inbox::~Inbox() {
  if (!is_reached()) return;
  const std::lock_guard lock{wake_ups_.mutex_};
  wake_ups_.remove(*this);
}

/// Not in a child of fork(): the lock may be held by a thread of the parent's.
bool Inbox::is_reached() const noexcept { return open_ && fork_generation_ == route::fork_generation(); }

void Inbox::open() {
  if (open_ || fork_generation_ != route::fork_generation()) return;
  const std::lock_guard lock{wake_ups_.mutex_};
  wake_ups_.add(*this);
  open_ = true;
}

void Inbox::change_waker(route::Waker& waker) noexcept {
  if (!is_reached()) {
    waker_ = &waker;
    return;
  }
  const std::lock_guard lock{wake_ups_.mutex_};
  waker_ = &waker;
}

bool Inbox::empty() const {
  if (!is_reached()) return true;
  const std::lock_guard lock{wake_ups_.mutex_};
  return mail_.empty();
}

std::optional<protocol::Grant> Inbox::grant() const {
  if (!is_reached()) return std::nullopt;
  const std::lock_guard lock{wake_ups_.mutex_};
  return mail_.grant;
}

Mail Inbox::take() {
  if (!is_reached()) return {};
  const std::lock_guard lock{wake_ups_.mutex_};
  return std::exchange(mail_, {});
}

void Inbox::note_channel_ended(std::uint16_t slot) {
  if (is_reached()) wake_ups_.slot_changed(slot);
}

void Inbox::wake() noexcept {
  if (!is_reached()) return;
  const std::lock_guard lock{wake_ups_.mutex_};
  waker_->wake();
}

// ---- the index ------------------------------------------------------------------------------------------------------

/// All or nothing.
void WakeUps::add(Inbox& inbox) {
  const auto by_id = by_id_.emplace(inbox.id_, &inbox).first;
  try {
    // The text that it is found by is the copy's, which stays for as long as anybody waits for the key.
    const protocol::Key copy{inbox.key_};
    by_key_.try_emplace(copy.text(), SameKey{.key = copy, .waiters = {}}).first->second.waiters.prepend(inbox);
  } catch (...) {
    by_id_.erase(by_id);
    throw;
  }
}

void WakeUps::remove(Inbox& inbox) noexcept {
  by_id_.erase(inbox.id_);
  const auto same = by_key_.find(inbox.key_.text());
  same->second.waiters.remove(inbox);
  if (same->second.waiters.size() == 0) by_key_.erase(same);
}

// ---- what comes -----------------------------------------------------------------------------------------------------

void WakeUps::deliver(std::string_view message) {
  const std::optional<Message> parsed = parse(message);
  if (!parsed) return;
  const std::lock_guard lock{mutex_};
  const auto place = by_id_.find(parsed->id);
  if (place == by_id_.end()) return;
  Inbox& inbox = *place->second;
  const std::chrono::milliseconds lease{parsed->ms};
  if (parsed->grants) {
    inbox.mail_.grant =
        protocol::Grant{.claim = lease,
                        .granted_at = std::chrono::seconds{parsed->now_s} + std::chrono::microseconds{parsed->now_us},
                        .token = static_cast<std::uint64_t>(parsed->token),
                        .arrived = environment_.now()};
  } else {
    inbox.mail_.first = lease;
  }
  inbox.waker_->wake();
}

void WakeUps::place_refreshed(const protocol::OwnerId& id, protocol::Refreshed place) {
  const std::lock_guard lock{mutex_};
  const auto waiter = by_id_.find(id.text());
  if (waiter == by_id_.end()) return;
  waiter->second->mail_.refreshed = place;
  waiter->second->waker_->wake();
}

void WakeUps::key_changed(std::string_view key) {
  const std::lock_guard lock{mutex_};
  if (const auto same = by_key_.find(key); same != by_key_.end()) note_change(same->second);
}

void WakeUps::all_changed() {
  const std::lock_guard lock{mutex_};
  for (const auto& [key, same] : by_key_) note_change(same);
}

void WakeUps::slot_changed(std::uint16_t slot) {
  if (slot == protocol::no_slot) return all_changed();
  const std::lock_guard lock{mutex_};
  for (const auto& [key, same] : by_key_) {
    if (protocol::slot_of(key) == slot) note_change(same);
  }
}

void WakeUps::note_change(const SameKey& same) noexcept {
  for (Inbox* inbox = same.waiters.first(); inbox != nullptr; inbox = route::List<Inbox>::next(*inbox)) {
    inbox->mail_.changed = true;
    inbox->waker_->wake();
  }
}

}  // namespace redismutex::engine
