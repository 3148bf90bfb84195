#include "route/pushes.hpp"

#include <chrono>
#include <utility>

#include "protocol/slot.hpp"
#include "protocol/verdict.hpp"
#include "route/environment.hpp"

namespace redismutex::route {
namespace {

constexpr net::Greeting::Version first_with_sharded_channels{7, 0, 0};

// Of the names of all channels, for the sake of users' rights.
constexpr std::string_view common_beginning = "redismutex:wake:";

// Short, because it stands in each of our places in line: so these stay within what a sorted set keeps packed.
constexpr std::size_t letters_of_a_name = 10;

constexpr std::string_view subscribe_to_sharded = "SSUBSCRIBE";
constexpr std::string_view subscribe_to_plain = "SUBSCRIBE";

// Channels of slots that were not used for so long are given up, and are looked for so often.
constexpr std::chrono::minutes until_given_up{1};
constexpr std::chrono::seconds between_looks{10};

bool has_sharded_channels(const net::Greeting& greeting) {
  return greeting.server == "valkey" || greeting.version >= first_with_sharded_channels;
}

}  // namespace

void Pushes::name_channel() { name_ = random_word(environment_, letters_of_a_name); }

/// In the slot, if there is one.
std::string Pushes::name_of_channel(std::uint16_t slot) const {
  std::string name{common_beginning};
  if (slot != protocol::no_slot) name.append("{").append(protocol::word_of(slot)).append("}:");
  return name.append(name_);
}

Pushes::Channel& Pushes::channel_of(std::uint16_t slot) {
  return slot == protocol::no_slot ? channel_ : channels_[slot];
}

void Pushes::begin(std::uint64_t link_id, const net::Greeting& greeting) {
  const std::lock_guard lock{mutex_};
  if (name_.empty() || link_id_ != 0) name_channel();
  link_id_ = link_id;
  sharded_ = has_sharded_channels(greeting);
  channel_.state = tracking_ = State::unasked;
  std::erase_if(channels_, [](const auto& each) { return each.second.users == 0; });
  for (auto& [slot, channel] : channels_) channel.state = State::unasked;
  unused_.clear();
  keeps_unused_ = false;
  tracking_refused_ = false;
  knows_mailbox_ = true;
}

std::string Pushes::mailbox(std::uint16_t slot) {
  MailboxText text;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled below
  return std::string{mailbox(slot, text)};
}

std::string_view Pushes::mailbox(std::uint16_t slot, MailboxText& text) {
  const std::lock_guard lock{mutex_};
  const auto known = slot != protocol::no_slot ? channels_.find(slot) : channels_.end();
  const State state = known != channels_.end() ? known->second.state : channel_.state;
  if (state == State::refused) return "-";
  if (name_.empty()) name_channel();
  std::size_t size = 0;
  const auto add = [&](std::string_view part) { size += part.copy(text.data() + size, text.size() - size); };
  add(sharded_ ? "s" : "p");
  add(common_beginning);
  if (slot != protocol::no_slot) {
    add("{");
    add(protocol::word_of(slot));
    add("}:");
  }
  add(name_);
  return {text.data(), size};
}

bool Pushes::lacks_slot(std::uint64_t link_id, std::uint16_t slot, News news) {
  const std::lock_guard lock{mutex_};
  if (link_id != link_id_ || tracking_ == State::unasked) return true;
  if (news == News::changes) return false;
  const auto known = channels_.find(slot);
  return known == channels_.end() || known->second.state == State::unasked;
}

Pushes::Wanted Pushes::wanted(std::uint64_t link_id, std::uint16_t slot, News news) {
  const std::lock_guard lock{mutex_};
  if (link_id != link_id_) return {};
  Wanted wanted{.tracking = tracking_ == State::unasked, .slot = slot};
  const bool needs_channel = slot == protocol::no_slot || news == News::messages;
  if (needs_channel && channel_of(slot).state == State::unasked) {
    wanted.number = ++asked_;
    wanted.subscribe = sharded_ ? subscribe_to_sharded : subscribe_to_plain;
    wanted.channel = name_of_channel(slot);
    if (slot != protocol::no_slot && !wanted.tracking) wanted.unused = take_unused();
  }
  return wanted;
}

Pushes::Next Pushes::subscribed(std::uint64_t link_id, const Wanted& wanted, std::string_view error) {
  const std::lock_guard lock{mutex_};
  if (link_id != link_id_) return Next::go_on;
  const bool asked_for_sharded = wanted.subscribe == subscribe_to_sharded;
  if (asked_for_sharded != sharded_) return Next::ask_again;  // another thread was faster
  Channel& channel = channel_of(wanted.slot);
  if (error.empty()) {
    // Answers and messages are told in any order.
    if (wanted.number <= channel.ended_after) return Next::ended;
    channel.state = State::open;
    note_completion();
    return Next::go_on;
  }
  // A server of a cluster may have no sharded channel of this name, and any plain one. Where the name is in the key's slot, the key is
  // not here either.
  const bool elsewhere = sharded_ && wanted.slot == protocol::no_slot && error.starts_with("MOVED ");
  if (!elsewhere && protocol::verdict(error) != protocol::Verdict::forbidden) return Next::go_on;
  if (std::exchange(sharded_, false)) return Next::ask_again;
  channel.state = State::refused;
  note_completion();
  return Next::do_without;
}

Pushes::Next Pushes::tracked(std::uint64_t link_id, std::string_view error) {
  const std::lock_guard lock{mutex_};
  if (link_id != link_id_) return Next::go_on;
  const bool refused = !error.empty();
  if (refused && protocol::verdict(error) != protocol::Verdict::forbidden) return Next::go_on;
  tracking_ = refused ? State::refused : State::open;
  tracking_refused_ = refused;
  if (!refused) tracking_link_ = link_id_;
  note_completion();
  return refused ? Next::do_without : Next::go_on;
}

std::optional<std::uint16_t> Pushes::ended(std::string_view channel) {
  const std::lock_guard lock{mutex_};
  if (!sharded_ || !channel.ends_with(name_)) return std::nullopt;
  const bool has_slot = channel != name_of_channel(protocol::no_slot);
  const std::uint16_t slot = has_slot ? protocol::slot_of(channel) : protocol::no_slot;
  const auto known = channels_.find(slot);
  if (has_slot && (known == channels_.end() || channel != name_of_channel(slot))) return std::nullopt;
  Channel& moved = has_slot ? known->second : channel_;
  if (moved.state == State::refused) return std::nullopt;
  const bool was_open = moved.state == State::open;
  moved.state = State::unasked;
  moved.ended_after = asked_;
  if (!has_slot) complete_link_ = 0;
  if (has_slot && moved.users == 0) channels_.erase(known);
  return was_open ? std::optional{slot} : std::nullopt;
}

void Pushes::note_completion() {
  if (channel_.state != State::unasked && tracking_ != State::unasked) complete_link_ = link_id_;
}

// ---- channels that nobody uses --------------------------------------------------------------------------------------

Pushes::Use::Use(Pushes& pushes, std::uint16_t slot) : pushes_{pushes}, slot_{slot} {
  if (slot_ != protocol::no_slot) pushes_.begin_use(slot_);
}

Pushes::Use::~Use() {
  if (slot_ != protocol::no_slot && fork_generation_ == fork_generation()) pushes_.end_use(slot_);
}

void Pushes::begin_use(std::uint16_t slot) {
  const std::lock_guard lock{mutex_};
  ++channels_[slot].users;
}

void Pushes::end_use(std::uint16_t slot) noexcept {
  const std::lock_guard lock{mutex_};
  const auto used = channels_.find(slot);
  if (--used->second.users > 0) return;
  if (used->second.state == State::unasked) {
    channels_.erase(used);
  } else {
    used->second.unused_since = environment_.now();
  }
}

/// With the lock held.
bool Pushes::is_unused(const Channel& channel, protocol::Instant now) const {
  return channel.users == 0 && channel.state == State::open && channel.unused_since + until_given_up <= now;
}

/// With the lock held: a channel that counts as not asked for from now on; empty: there is none. Plain ones stay: the server ends such a
/// subscription with words that are no answer of ours.
std::string Pushes::take_unused() {
  if (!sharded_ || keeps_unused_) return {};
  const protocol::Instant now = environment_.now();
  if (unused_.empty() && now >= next_look_) {
    next_look_ = now + between_looks;
    for (const auto& [slot, channel] : channels_) {
      if (is_unused(channel, now)) unused_.push_back(slot);
    }
  }
  while (!unused_.empty()) {
    const std::uint16_t slot = unused_.back();
    unused_.pop_back();
    const auto known = channels_.find(slot);
    if (known == channels_.end() || !is_unused(known->second, now)) continue;
    channels_.erase(known);
    return name_of_channel(slot);
  }
  return {};
}

bool Pushes::given_up(std::uint64_t link_id, std::string_view channel, std::string_view error) {
  const std::lock_guard lock{mutex_};
  if (link_id != link_id_) return false;
  if (protocol::verdict(error) == protocol::Verdict::forbidden) keeps_unused_ = true;
  const auto known = channels_.find(protocol::slot_of(channel));
  if (known == channels_.end()) return false;
  known->second.state = State::unasked;
  known->second.ended_after = asked_;
  return true;
}

}  // namespace redismutex::route
