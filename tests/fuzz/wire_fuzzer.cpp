// Any order of commands, writes, answers, withdrawals and failures at a Wire. A simple model says what must come of it: all
// bytes go out once and in order; each call is over once, in the order of the commands, with its own answer, or never if it was
// withdrawn.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "net/wire.hpp"

namespace {

using namespace redismutex::net;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "not so: " << what << std::endl;
  std::abort();
}

class Model {
 public:
  void submit(bool wanted) {
    const std::string number = std::to_string(submitted_++);
    const std::array<std::string_view, 1> arguments{number};
    now_ += std::chrono::milliseconds{1};
    Call* call = nullptr;
    if (wanted) call = &calls_.emplace_back();
    wire_.submit(call, arguments, now_);
    expected_out_ += "*1\r\n$" + std::to_string(number.size()) + "\r\n" + number + "\r\n";
    in_flight_.push_back({call, number, now_});
  }

  void send(std::size_t count) {
    const std::string_view bytes = wire_.outgoing();
    const std::string_view part = bytes.substr(0, count);
    expect(expected_out_.starts_with(part), "the bytes go out in order");
    expected_out_.erase(0, part.size());
    wire_.sent(part.size());
    expect(wire_.unsent() == expected_out_.size(), "the rest is to be sent");
  }

  /// The answers of so many commands, cut into parts of that size.
  void answer(std::size_t count, std::size_t part_size, bool with_push) {
    std::string bytes;
    Calls over;
    std::vector<Reply> pushes;
    std::vector<Flight> answered;
    while (count-- > 0 && !in_flight_.empty()) {
      if (with_push) bytes += ">1\r\n+push\r\n";
      bytes += "+" + in_flight_.front().text + "\r\n";
      answered.push_back(in_flight_.front());
      in_flight_.pop_front();
    }
    for (std::string_view rest{bytes}; !rest.empty(); rest.remove_prefix(std::min(rest.size(), part_size))) {
      wire_.received(rest.substr(0, part_size), over, pushes);
    }
    expect(wire_.problem().empty(), "that was the protocol");
    expect(pushes.size() == (with_push ? answered.size() : 0), "all pushes came");
    for (const Flight& flight : answered) {
      if (flight.call == nullptr) continue;
      expect(over.take() == flight.call, "the calls are over in order");
      expect(flight.call->answered() && flight.call->reply().text() == flight.text, "each has its own answer");
    }
    expect(over.take() == nullptr, "no other is");
  }

  void withdraw(std::size_t index) {
    if (calls_.empty()) return;
    Call& call = calls_[index % calls_.size()];
    const auto flight =
        std::find_if(in_flight_.begin(), in_flight_.end(), [&](const Flight& one) { return one.call == &call; });
    expect(wire_.withdraw(call) == (flight != in_flight_.end()), "what is in flight can be withdrawn");
    if (flight != in_flight_.end()) flight->call = nullptr;
  }

  void fail() {
    Calls lost;
    wire_.fail(lost);
    for (const Flight& flight : in_flight_) {
      if (flight.call != nullptr) expect(lost.take() == flight.call, "all in flight are lost, in order");
    }
    expect(lost.take() == nullptr, "no other is");
    in_flight_.clear();
    expected_out_ = wire_.outgoing();
  }

  void check() const {
    expect(wire_.in_flight() == in_flight_.size(), "so many are in flight");
    expect(wire_.next_deadline() == (in_flight_.empty() ? Deadline::max() : in_flight_.front().overdue_at),
           "the oldest is due first");
  }

 private:
  struct Flight {
    Call* call;
    std::string text;
    Deadline overdue_at;
  };

  Wire wire_;
  Deadline now_{};
  int submitted_ = 0;
  std::deque<Call> calls_;
  std::deque<Flight> in_flight_;
  std::string expected_out_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Model model;
  for (std::size_t i = 0; i + 1 < size; i += 2) {
    const std::size_t number = data[i + 1];
    switch (data[i] % 6) {
      case 0: model.submit(true); break;
      case 1: model.submit(false); break;
      case 2: model.send(number); break;
      case 3: model.answer(number % 16, 1 + number / 16, data[i] > 127); break;
      case 4: model.withdraw(number); break;
      default: model.fail();
    }
    model.check();
  }
  return 0;
}
