#include "protocol/clients.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "protocol/info.hpp"
#include "protocol/number.hpp"

namespace redismutex::protocol {
namespace {

// In one command: the server needs about 2 us for each.
constexpr std::size_t most_ids = 128;

constexpr int bits_in_tag = 24;
constexpr std::size_t tag_size = 10;

/// Takes off what stands before the separator, and the separator.
std::string_view take(std::string_view& text, char separator) {
  const std::string_view part = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

Connected read_client(std::string_view line) {
  Connected connected;
  while (!line.empty()) {
    std::string_view value = take(line, ' ');
    const std::string_view field = take(value, '=');
    if (field == "id") connected.id = number_in<std::int64_t>(value).value_or(0);
    if (field == "name") connected.name = value;
    if (field == "addr") connected.address = value;
    if (field == "user") connected.user = value;
  }
  return connected;
}

}  // namespace

std::vector<Connected> read_client_list(std::string_view list) {
  std::vector<Connected> all;
  while (!list.empty()) {
    std::string_view line = take(list, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) all.push_back(read_client(line));
  }
  return all;
}

std::optional<Client> client_with_tag(std::span<const Connected> connected, std::string_view tag) {
  if (tag.empty()) return std::nullopt;
  const std::string marked = std::string{":"}.append(tag).append(":");
  const Connected* newest = nullptr;
  for (const Connected& each : connected) {
    const bool has_tag = each.name.find(marked) != std::string::npos;
    if (has_tag && (newest == nullptr || newest->id < each.id)) newest = &each;
  }
  if (newest == nullptr) return std::nullopt;
  std::string_view rest = newest->name;
  rest.remove_prefix(rest.find(marked) + marked.size());
  Client client{.address = newest->address, .user = newest->user};
  client.host = take(rest, ':');
  client.pid = number_in<std::int64_t>(take(rest, ':')).value_or(0);
  client.purpose = rest;
  return client;
}

std::vector<std::int64_t> client_ids_of(std::string_view tag, std::int64_t newest) {
  const auto bits = tag.size() == tag_size ? number_in<std::int64_t>(tag, 16) : std::nullopt;
  if (!bits || *bits < 0) return {};
  const std::int64_t last = *bits >> (4 * tag_size - bits_in_tag);
  const std::int64_t turn = std::int64_t{1} << bits_in_tag;
  const std::int64_t begun = std::max<std::int64_t>(newest, 0) / turn * turn;
  std::vector<std::int64_t> ids;
  if (begun + last > 0) ids.push_back(begun + last);
  if (begun > 0 && begun - turn + last > 0) ids.push_back(begun - turn + last);
  return ids;
}

Clients::Clients(std::vector<std::int64_t> ids)
    : ids_{std::move(ids)}, all_{false}, counts_{false}, outcome_{std::vector<Connected>{}} {}

Clients::Clients(All /*all*/) : all_{true}, counts_{true}, outcome_{std::vector<Connected>{}} {}

Step Clients::start(Instant /*now*/) { return next(); }

Step Clients::next() {
  if (counts_) {
    arguments_ = {"INFO", "clients"};
  } else if (all_) {
    arguments_ = {"CLIENT", "LIST"};
  } else {
    asked_ = std::min(most_ids, ids_.size() - done_);
    if (asked_ == 0) return Done{};
    numbers_.clear();
    for (std::size_t i = 0; i < asked_; ++i) numbers_.push_back(std::to_string(ids_[done_ + i]));
    arguments_ = {"CLIENT", "LIST", "ID"};
    arguments_.insert(arguments_.end(), numbers_.begin(), numbers_.end());
  }
  return Request{.arguments = arguments_};
}

Step Clients::answered(const Answer& answer) {
  if (answer.type != Answer::Type::text) {
    outcome_ = refusal(answer, arguments_.front());
    return Done{};
  }
  if (counts_) {
    if (number_in<std::int64_t>(info_value(answer.text, "connected_clients")).value_or(0) > most) {
      outcome_ = TooMany{};
      return Done{};
    }
    counts_ = false;
    return next();
  }
  std::vector<Connected> read = read_client_list(answer.text);
  auto& all = std::get<std::vector<Connected>>(outcome_);
  std::move(read.begin(), read.end(), std::back_inserter(all));
  if (all_) return Done{};
  done_ += asked_;
  return next();
}

Step Clients::unanswered() { return Request{.arguments = arguments_}; }

}  // namespace redismutex::protocol
