#include "route/pushes.hpp"

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

Pushes::State& Pushes::channel(std::uint16_t slot) {
  return slot == protocol::no_slot ? channel_ : channels_.try_emplace(slot, State::unasked).first->second;
}

void Pushes::begin(std::uint64_t link_id, const net::Greeting& greeting) {
  const std::lock_guard lock{mutex_};
  if (name_.empty() || link_id_ != 0) name_channel();
  link_id_ = link_id;
  sharded_ = has_sharded_channels(greeting);
  channel_ = tracking_ = State::unasked;
  channels_.clear();
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
  const State state = known != channels_.end() ? known->second : channel_;
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

bool Pushes::lacks_slot(std::uint64_t link_id, std::uint16_t slot) {
  const std::lock_guard lock{mutex_};
  const auto known = channels_.find(slot);
  return link_id != link_id_ || tracking_ == State::unasked || known == channels_.end() ||
         known->second == State::unasked;
}

Pushes::Wanted Pushes::wanted(std::uint64_t link_id, std::uint16_t slot) {
  const std::lock_guard lock{mutex_};
  if (link_id != link_id_) return {};
  Wanted wanted{.tracking = tracking_ == State::unasked, .slot = slot};
  if (channel(slot) == State::unasked) {
    wanted.subscribe = sharded_ ? subscribe_to_sharded : subscribe_to_plain;
    wanted.channel = name_of_channel(slot);
  }
  return wanted;
}

Pushes::Next Pushes::subscribed(std::uint64_t link_id, const Wanted& wanted, std::string_view error) {
  const std::lock_guard lock{mutex_};
  if (link_id != link_id_) return Next::go_on;
  const bool asked_for_sharded = wanted.subscribe == subscribe_to_sharded;
  if (asked_for_sharded != sharded_) return Next::ask_again;  // another thread was faster
  State& state = channel(wanted.slot);
  if (error.empty()) {
    state = State::open;
    note_completion();
    return Next::go_on;
  }
  // A server of a cluster may have no sharded channel of this name, and any plain one. Where the name is in the key's slot, the key is
  // not here either.
  const bool elsewhere = sharded_ && wanted.slot == protocol::no_slot && error.starts_with("MOVED ");
  if (!elsewhere && protocol::verdict(error) != protocol::Verdict::forbidden) return Next::go_on;
  if (std::exchange(sharded_, false)) return Next::ask_again;
  state = State::refused;
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
  if (channel == name_of_channel(protocol::no_slot)) {
    if (channel_ != State::open) return std::nullopt;
    channel_ = State::unasked;
    complete_link_ = 0;
    return protocol::no_slot;
  }
  const std::uint16_t slot = protocol::slot_of(channel);
  const auto known = channels_.find(slot);
  if (known == channels_.end() || known->second != State::open || channel != name_of_channel(slot)) return std::nullopt;
  channels_.erase(known);
  return slot;
}

void Pushes::note_completion() {
  if (channel_ != State::unasked && tracking_ != State::unasked) complete_link_ = link_id_;
}

}  // namespace redismutex::route
