#include "engine/mailroom.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

#include "engine/clock.hpp"
#include "engine/entropy.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {
namespace {

constexpr std::int64_t us_a_second = 1'000'000;

// The year 2255, as far as a script's numbers are whole. Later times would overflow where they are compared with ours.
constexpr std::int64_t latest_s = (std::int64_t{1} << 53) / us_a_second;

/// "id claim seconds microseconds token", as lua/queue.lua sends it: with the time as TIME tells it.
struct Message {
  std::string_view id;
  std::int64_t claim_ms = 0;
  std::int64_t now_s = 0;
  std::int64_t now_us = 0;  // of that second
  std::int64_t token = 0;
};

std::optional<Message> parse(std::string_view text) {
  const auto next_word = [&text] {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    return word;
  };
  const auto next_number = [&next_word](std::int64_t& value) {
    const std::string_view digits = next_word();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size() && value >= 0;
  };
  Message message{.id = next_word()};
  const bool complete = next_number(message.claim_ms) && next_number(message.now_s) && next_number(message.now_us) &&
                        next_number(message.token) && text.empty();
  const bool plausible = message.claim_ms <= protocol::longest_duration.count() && message.now_s < latest_s &&
                         message.now_us < us_a_second;
  return complete && plausible ? std::optional{message} : std::nullopt;
}

}  // namespace

Mailroom::Mailroom() { register_for_fork(); }

Mailroom::~Mailroom() { unregister_for_fork(); }

std::string Mailroom::channel() {
  const std::lock_guard lock{mutex_};
  if (channel_.empty()) name_channel();
  return channel_;
}

std::string Mailroom::channel_of(std::uint64_t link_id) {
  const std::lock_guard lock{mutex_};
  if (channel_.empty() || (link_id_ != 0 && link_id > link_id_)) name_channel();
  link_id_ = std::max(link_id_, link_id);
  return channel_;
}

void Mailroom::name_channel() { channel_ = "redismutex:wake:" + random_owner_id().text(); }

void Mailroom::after_fork_in_child() noexcept {
  // Those who wait are the parent's threads, and so is whoever the channel wakes.
  boxes_.clear();
  channel_.clear();
  link_id_ = 0;
  mutex_.unlock();
}

Mailroom::Box::Box(Mailroom& mailroom, const protocol::Key& key, const protocol::OwnerId& id)
    : mailroom_{mailroom}, key_{key.text()}, id_{id.text()} {
  const std::lock_guard lock{mailroom_.mutex_};
  place_ = mailroom_.boxes_.insert(mailroom_.boxes_.end(), this);
}

Mailroom::Box::~Box() {
  const std::lock_guard lock{mailroom_.mutex_};
  mailroom_.boxes_.erase(place_);
}

Mailroom::Mail Mailroom::wait(Box& box, net::Link& link, net::Deadline deadline, const std::stop_token& stop,
                              net::Link::Waited& how) {
  net::Event event;
  std::unique_lock lock{mutex_};
  how = net::Link::Waited::done;
  if (!box.grant_ && !box.changed_) {
    box.link_ = &link;
    box.event_ = &event;
    lock.unlock();
    how = link.wait(event, deadline, stop);
    lock.lock();
    box.event_ = nullptr;
    box.link_ = nullptr;
  }
  return {.grant = std::exchange(box.grant_, std::nullopt), .changed = std::exchange(box.changed_, false)};
}

void Mailroom::deliver(std::string_view message) {
  const std::optional<Message> parsed = parse(message);
  if (!parsed) return;
  const std::lock_guard lock{mutex_};
  for (Box* box : boxes_) {
    if (box->id_ != parsed->id) continue;
    box->grant_ =
        protocol::Grant{.claim = std::chrono::milliseconds{parsed->claim_ms},
                        .granted_at = std::chrono::seconds{parsed->now_s} + std::chrono::microseconds{parsed->now_us},
                        .token = static_cast<std::uint64_t>(parsed->token),
                        .arrived = now()};
    ring(*box);
  }
}

void Mailroom::key_changed(std::string_view key) {
  note_change([key](const Box& box) { return box.key_ == key; });
}

void Mailroom::all_changed() {
  note_change([](const Box&) { return true; });
}

template <class Concerns>
void Mailroom::note_change(Concerns concerns) {
  const std::lock_guard lock{mutex_};
  for (Box* box : boxes_) {
    if (!concerns(*box)) continue;
    box->changed_ = true;
    ring(*box);
  }
}

void Mailroom::ring(Box& box) {
  if (box.event_ != nullptr) box.link_->set(*box.event_);
}

}  // namespace redismutex::engine
