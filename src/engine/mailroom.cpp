#include "engine/mailroom.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

#include "engine/clock.hpp"
#include "protocol/lease.hpp"

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
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size() && value >= 0;
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

Mailroom::Box::Box(Mailroom& mailroom, const protocol::Key& key, const protocol::OwnerId& id)
    : mailroom_{mailroom}, key_{key.text()}, id_{id.text()} {}

void Mailroom::Box::open() {
  if (place_) return;
  const std::lock_guard lock{mailroom_.mutex_};
  place_ = mailroom_.boxes_.insert(mailroom_.boxes_.end(), this);
}

Mailroom::Box::~Box() {
  if (!place_) return;
  if (fork_generation_ != net::fork_generation()) return;  // the mailroom is the parent's
  const std::lock_guard lock{mailroom_.mutex_};
  mailroom_.boxes_.erase(*place_);
}

Mailroom::Mail Mailroom::wait(Box& box, net::Link& link, net::Deadline deadline, const std::stop_token& stop,
                              net::Link::Waited& how) {
  net::Caller caller;
  std::unique_lock lock{mutex_};
  how = net::Link::Waited::done;
  if (!box.grant_ && !box.first_ && !box.changed_) {
    box.link_ = &link;
    box.caller_ = &caller;
    lock.unlock();
    how = link.wait(caller, deadline, stop);
    lock.lock();
    box.caller_ = nullptr;
    box.link_ = nullptr;
  }
  return {.grant = std::exchange(box.grant_, std::nullopt),
          .first = std::exchange(box.first_, std::nullopt),
          .changed = std::exchange(box.changed_, false)};
}

void Mailroom::deliver(std::string_view message) {
  const std::optional<Message> parsed = parse(message);
  if (!parsed) return;
  const std::lock_guard lock{mutex_};
  for (Box* box : boxes_) {
    if (box->id_ != parsed->id) continue;
    const std::chrono::milliseconds lease{parsed->ms};
    if (parsed->grants) {
      box->grant_ =
          protocol::Grant{.claim = lease,
                          .granted_at = std::chrono::seconds{parsed->now_s} + std::chrono::microseconds{parsed->now_us},
                          .token = static_cast<std::uint64_t>(parsed->token),
                          .arrived = now()};
    } else {
      box->first_ = lease;
    }
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
  if (box.caller_ != nullptr) box.link_->set(*box.caller_);
}

}  // namespace redismutex::engine
