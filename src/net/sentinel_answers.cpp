#include "net/sentinel_answers.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

namespace redismutex::net::sentinel {
namespace {

using namespace std::string_view_literals;

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<ServerAddress> address_of(std::string_view host, std::string_view port) {
  const auto number = number_in<std::uint16_t>(port);
  if (host.empty() || host.find('\0') != std::string_view::npos || number.value_or(0) == 0) return std::nullopt;
  return ServerAddress{std::string{host}, *number};
}

/// What is told of one server, among much else.
struct Description {
  std::string_view ip, port, epoch;

  std::optional<ServerAddress> address() const { return address_of(ip, port); }
};

Description read_description(ReplyView map) {
  Description description;
  for (auto element = map.begin(); element != map.end(); ++element) {
    const std::string_view field = (*element++).text();
    if (element == map.end()) break;
    const std::string_view value = element->text();
    if (field == "ip") description.ip = value;
    if (field == "port") description.port = value;
    if (field == "config-epoch") description.epoch = value;
  }
  return description;
}

/// Of the short answer: nothing, or a list of two.
std::optional<ServerAddress> read_address(ReplyView list) {
  if (list.type() != ReplyType::array || list.size() != 2) return std::nullopt;
  return address_of(list[0].text(), list[1].text());
}

}  // namespace

Questions questions(std::string_view master) {
  return {{{"SENTINEL"sv, "MASTER"sv, master},
           {"SENTINEL"sv, "GET-MASTER-ADDR-BY-NAME"sv, master},
           {"SENTINEL"sv, "SENTINELS"sv, master}}};
}

std::array<std::string_view, 3> question_for_replicas(std::string_view master) {
  return {"SENTINEL"sv, "REPLICAS"sv, master};
}

std::optional<std::int64_t> count_replicas(ReplyView reply) {
  if (reply.type() != ReplyType::array) return std::nullopt;
  return static_cast<std::int64_t>(reply.size());
}

Answer read(std::span<const ReplyView, question_count> replies) {
  const auto [details, address, sentinels] = std::array{replies[0], replies[1], replies[2]};
  Answer answer;
  const Description described = read_description(details);
  answer.master = described.address();
  if (answer.master) {
    answer.epoch = number_in<std::int64_t>(described.epoch).value_or(-1);
  } else {
    answer.master = read_address(address);
  }
  if (!answer.master) {
    answer.knows_no_such_name = address.type() == ReplyType::null;
    answer.refusal = address.is_error()          ? address.text()
                     : answer.knows_no_such_name ? std::string_view{"it knows no server of that name"}
                                                 : std::string_view{"its answer names no address"};
  }
  for (const ReplyView other : sentinels) {
    if (auto known = read_description(other).address()) answer.others.push_back(std::move(*known));
  }
  return answer;
}

const Answer* choose(std::span<const Answer> answers) {
  const auto votes = [&](const Answer& answer) {
    return std::count_if(answers.begin(), answers.end(), [&](const Answer& other) {
      return other.epoch == answer.epoch && other.master == answer.master;
    });
  };
  const Answer* best = nullptr;
  for (const Answer& answer : answers) {
    if (!answer.master) continue;
    const bool is_better =
        best == nullptr || answer.epoch > best->epoch || (answer.epoch == best->epoch && votes(answer) > votes(*best));
    if (is_better) best = &answer;
  }
  return best;
}

}  // namespace redismutex::net::sentinel
