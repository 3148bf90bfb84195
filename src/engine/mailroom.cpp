#include "engine/mailroom.hpp"

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "engine/clock.hpp"
#include "engine/entropy.hpp"

namespace redismutex::engine {
namespace {

std::string_view text_of(const redisReply& reply) { return {reply.str, reply.len}; }

/// "id claim now", as lua/queue.lua sends it.
struct Message {
  std::string_view id;
  std::int64_t claim_ms = 0;
  std::int64_t now_us = 0;
};

std::optional<Message> parse(std::string_view text) {
  const auto first = text.find(' ');
  const auto second = text.find(' ', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return std::nullopt;
  Message message{.id = text.substr(0, first)};
  const auto number = [](std::string_view digits, std::int64_t& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size();
  };
  if (!number(text.substr(first + 1, second - first - 1), message.claim_ms)) return std::nullopt;
  if (!number(text.substr(second + 1), message.now_us)) return std::nullopt;
  return message;
}

}  // namespace

Mailroom::Mailroom() { register_for_fork(); }

Mailroom::~Mailroom() { unregister_for_fork(); }

std::string Mailroom::channel() {
  const std::lock_guard lock{mutex_};
  if (channel_.empty()) channel_ = "redismutex:wake:" + random_owner_id().text();
  return channel_;
}

void Mailroom::after_fork_in_child() noexcept {
  // Those who wait are the parent's threads, and so is whoever the channel wakes.
  boxes_.clear();
  channel_.clear();
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

void Mailroom::deliver(const redisReply& push) {
  if (push.elements < 2) return;
  const std::string_view kind = text_of(*push.element[0]);
  if (kind == "message" && push.elements == 3) deliver_grant(text_of(*push.element[2]));
  if (kind == "invalidate") deliver_change(*push.element[1]);
}

void Mailroom::deliver_grant(std::string_view message) {
  const std::optional<Message> parsed = parse(message);
  if (!parsed) return;
  const std::lock_guard lock{mutex_};
  for (Box* box : boxes_) {
    if (box->id_ != parsed->id) continue;
    box->grant_ = protocol::Grant{.claim = std::chrono::milliseconds{parsed->claim_ms},
                                  .granted_at = std::chrono::microseconds{parsed->now_us},
                                  .arrived = now()};
    ring(*box);
  }
}

void Mailroom::deliver_change(const redisReply& keys) {
  const std::lock_guard lock{mutex_};
  const auto concerns = [&keys](const Box& box) {
    if (keys.type != REDIS_REPLY_ARRAY) return true;  // null: all keys, after FLUSHALL
    for (std::size_t i = 0; i < keys.elements; ++i) {
      if (text_of(*keys.element[i]) == box.key_) return true;
    }
    return false;
  };
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
