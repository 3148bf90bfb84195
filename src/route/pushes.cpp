#include "route/pushes.hpp"

#include <utility>

#include "protocol/verdict.hpp"
#include "route/environment.hpp"

namespace redismutex::route {
namespace {

constexpr net::Greeting::Version first_with_sharded_channels{7, 0, 0};

// Short, because it stands in each of our places in line: so these stay within what a sorted set keeps packed.
constexpr std::size_t letters_of_a_name = 10;

constexpr std::string_view subscribe_to_sharded = "SSUBSCRIBE";
constexpr std::string_view subscribe_to_plain = "SUBSCRIBE";

bool has_sharded_channels(const net::Greeting& greeting) {
  return greeting.server == "valkey" || greeting.version >= first_with_sharded_channels;
}

}  // namespace

void Pushes::name_channel() { name_ = "redismutex:wake:" + random_word(environment_, letters_of_a_name); }

void Pushes::begin(std::uint64_t link_id, const net::Greeting& greeting) {
  const std::lock_guard lock{mutex_};
  if (name_.empty() || link_id_ != 0) name_channel();
  link_id_ = link_id;
  sharded_ = has_sharded_channels(greeting);
  channel_ = tracking_ = State::unasked;
  tracking_refused_ = false;
  knows_mailbox_ = true;
}

std::string Pushes::mailbox() {
  MailboxText text;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled below
  return std::string{mailbox(text)};
}

std::string_view Pushes::mailbox(MailboxText& text) {
  const std::lock_guard lock{mutex_};
  if (channel_ == State::refused) return "-";
  if (name_.empty()) name_channel();
  text.front() = sharded_ ? 's' : 'p';
  const std::size_t size = name_.copy(text.data() + 1, text.size() - 1);
  return {text.data(), size + 1};
}

Pushes::Wanted Pushes::wanted(std::uint64_t link_id) {
  const std::lock_guard lock{mutex_};
  if (link_id != link_id_) return {};
  Wanted wanted{.tracking = tracking_ == State::unasked};
  if (channel_ == State::unasked) {
    wanted.subscribe = sharded_ ? subscribe_to_sharded : subscribe_to_plain;
    wanted.channel = name_;
  }
  return wanted;
}

Pushes::Next Pushes::subscribed(std::uint64_t link_id, const Wanted& wanted, std::string_view error) {
  const std::lock_guard lock{mutex_};
  if (link_id != link_id_) return Next::go_on;
  const bool asked_for_sharded = wanted.subscribe == subscribe_to_sharded;
  if (asked_for_sharded != sharded_) return Next::ask_again;  // another thread was faster
  if (error.empty()) {
    channel_ = State::open;
    note_completion();
    return Next::go_on;
  }
  // A server of a cluster may have no sharded channel of this name, and any plain one.
  const bool elsewhere = sharded_ && error.starts_with("MOVED ");
  if (!elsewhere && protocol::verdict(error) != protocol::Verdict::forbidden) return Next::go_on;
  if (std::exchange(sharded_, false)) return Next::ask_again;
  channel_ = State::refused;
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
  note_completion();
  return refused ? Next::do_without : Next::go_on;
}

bool Pushes::ended(std::string_view channel) {
  const std::lock_guard lock{mutex_};
  if (channel_ != State::open || !sharded_ || channel != name_) return false;
  channel_ = State::unasked;
  complete_link_ = 0;
  return true;
}

void Pushes::note_completion() {
  if (channel_ != State::unasked && tracking_ != State::unasked) complete_link_ = link_id_;
}

}  // namespace redismutex::route
