#include "net/wire.hpp"

#include "net/command.hpp"

namespace redismutex::net {
namespace {

constexpr std::string_view unsubscribe = "SUNSUBSCRIBE";

}  // namespace

void Wire::submit(Call* call, std::span<const std::string_view> arguments, Deadline overdue_at) {
  if (in_flight() == slots_.size()) grow();
  std::string& queue = queued();
  const std::size_t before = queue.size();
  const bool unsubscribes = arguments.size() == 2 && arguments.front() == unsubscribe;
  try {
    append_command(queue, arguments);
    if (unsubscribes) unsubscribed_.emplace_back(arguments.back());
  } catch (...) {
    queue.resize(before);
    throw;
  }
  slot(last_) = {call, overdue_at, unsubscribes};
  if (call != nullptr) {
    call->number_ = last_;
    call->state_ = Call::State::in_flight;
  }
  ++last_;
}

void Wire::grow() {
  std::vector<Slot> more(slots_.size() * 2);
  for (std::uint64_t number = first_; number != last_; ++number) more[number & (more.size() - 1)] = slot(number);
  slots_.swap(more);
}

std::string_view Wire::outgoing() noexcept {
  if (sent_ == sending().size()) {
    sending().clear();
    sent_ = 0;
    sends_second_ = !sends_second_;
  }
  return std::string_view{sending()}.substr(sent_);
}

bool Wire::is_answer(ReplyView reply) const {
  if (reply.type() != ReplyType::push) return true;
  if (reply.size() == 0) return false;
  const std::string_view kind = reply[0].text();
  if (kind == "subscribe" || kind == "ssubscribe") return true;
  const bool may_be = kind == "sunsubscribe" && reply.size() > 1 && first_ != last_ && slot(first_).unsubscribes;
  return may_be && reply[1].text() == unsubscribed_.front();
}

void Wire::received(std::string_view bytes, Calls& over, std::vector<Reply>& pushes) {
  resp_.feed(bytes);
  while (const auto reply = resp_.next()) {
    if (!is_answer(*reply)) {
      pushes.emplace_back(*reply);
      continue;
    }
    if (first_ == last_) {
      problem_ = "a reply that nobody asked for";
      return;
    }
    if (Call* const call = slot(first_).call; call != nullptr) {
      call->reply_.keep(*reply);
      call->state_ = Call::State::answered;
      over.add(*call);
    }
    if (slot(first_).unsubscribes) unsubscribed_.erase(unsubscribed_.begin());
    ++first_;
  }
}

bool Wire::withdraw(Call& call) noexcept {
  if (call.state_ != Call::State::in_flight) return false;
  slot(call.number_).call = nullptr;
  call.state_ = Call::State::idle;
  return true;
}

void Wire::fail(Calls& lost) noexcept {
  for (; first_ != last_; ++first_) {
    Call* const call = slot(first_).call;
    if (call == nullptr) continue;
    call->state_ = Call::State::lost;
    lost.add(*call);
  }
  queued().clear();
  unsubscribed_.clear();
}

}  // namespace redismutex::net
