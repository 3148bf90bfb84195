#include "protocol/slot_map.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "protocol/number.hpp"
#include "protocol/slot.hpp"

namespace redismutex::protocol {
namespace {

std::optional<std::uint16_t> slot_in(std::string_view digits) {
  const auto slot = number_in<std::uint16_t>(digits);
  return slot && *slot < slot_count ? slot : std::nullopt;
}

/// What a server calls another one's host.
std::string host_of(std::string_view told, const ServerAddress& asked) {
  return told.empty() || told == "?" ? asked.host : std::string{told};
}

/// Goes through values in their order.
class Walk {
 public:
  explicit Walk(std::span<const Value> values) : values_{values} {}

  bool at_end() const noexcept { return values_.empty(); }

  /// None: it is of another type, or there is none.
  std::optional<std::int64_t> integer() {
    const Value* const next = take(Value::Type::integer);
    return next != nullptr ? std::optional{next->integer} : std::nullopt;
  }

  /// How many elements follow.
  std::optional<std::size_t> list() {
    const Value* const next = take(Value::Type::list);
    return next != nullptr ? std::optional{static_cast<std::size_t>(next->integer)} : std::nullopt;
  }

  /// A text; empty for what is not there.
  std::optional<std::string_view> text() {
    if (const Value* const next = take(Value::Type::text)) return next->text;
    return take(Value::Type::nothing) != nullptr ? std::optional{std::string_view{}} : std::nullopt;
  }

  /// Passes over so many values, with all that is in them.
  void skip(std::size_t count) {
    for (; count > 0 && !values_.empty(); --count) {
      const Value& next = values_.front();
      if (next.type == Value::Type::list) count += static_cast<std::size_t>(next.integer);
      values_ = values_.subspan(1);
    }
  }

 private:
  const Value* take(Value::Type type) {
    if (values_.empty() || values_.front().type != type) return nullptr;
    const Value* const taken = values_.data();
    values_ = values_.subspan(1);
    return taken;
  }

  std::span<const Value> values_;
};

/// A host, a port, and more.
std::optional<ServerAddress> read_server(Walk& walk, const ServerAddress& asked) {
  const auto size = walk.list();
  const auto host = walk.text();
  const auto port = walk.integer();
  if (!size || *size < 2 || !host || !port || *port < 1 || *port > 65535) return std::nullopt;
  walk.skip(*size - 2);
  return ServerAddress{.host = host_of(*host, asked), .port = static_cast<std::uint16_t>(*port)};
}

/// Whether there is one; adds it to the map.
bool read_range(Walk& walk, const ServerAddress& asked, SlotMap& map) {
  const auto size = walk.list();
  const auto first = walk.integer();
  const auto last = walk.integer();
  auto master = read_server(walk, asked);
  if (!size || *size < 3 || !first || !last || !master) return false;
  if (*first < 0 || *last < *first || *last >= slot_count) return false;
  map.ranges.push_back({.first = static_cast<std::uint16_t>(*first),
                        .last = static_cast<std::uint16_t>(*last),
                        .master = *std::move(master)});
  for (std::size_t i = 3; i < *size && !walk.at_end(); ++i) {
    Walk at_replica = walk;
    walk.skip(1);
    if (auto replica = read_server(at_replica, asked)) map.replicas.push_back(*std::move(replica));
  }
  return true;
}

void leave_each_once(std::vector<ServerAddress>& servers) {
  std::sort(servers.begin(), servers.end(), [](const ServerAddress& one, const ServerAddress& other) {
    return std::tie(one.host, one.port) < std::tie(other.host, other.port);
  });
  servers.erase(std::unique(servers.begin(), servers.end()), servers.end());
}

}  // namespace

std::optional<Redirection> read_redirection(std::string_view error, const ServerAddress& asked) {
  const auto next_word = [&error] {
    const std::string_view word = error.substr(0, error.find(' '));
    error.remove_prefix(std::min(error.size(), word.size() + 1));
    return word;
  };
  next_word();
  const auto slot = slot_in(next_word());
  const std::string_view endpoint = next_word();
  const std::size_t colon = endpoint.rfind(':');
  if (!slot || colon == std::string_view::npos) return std::nullopt;
  const auto port = number_in<std::uint16_t>(endpoint.substr(colon + 1));
  if (!port || *port == 0) return std::nullopt;
  return Redirection{.slot = *slot, .to = {.host = host_of(endpoint.substr(0, colon), asked), .port = *port}};
}

std::optional<SlotMap> read_slots(std::span<const Value> values, const ServerAddress& asked) {
  SlotMap map;
  for (Walk walk{values}; !walk.at_end();) {
    if (!read_range(walk, asked, map)) return std::nullopt;
  }
  leave_each_once(map.replicas);
  return map;
}

Step AskSlots::start(Instant /*now*/) { return Request{.arguments = arguments_}; }

Step AskSlots::answered(const Answer& answer) {
  auto map = answer.type == Answer::Type::values ? read_slots(answer.values, asked_) : std::nullopt;
  if (map) {
    outcome_ = *std::move(map);
  } else {
    outcome_ = refusal(answer, "CLUSTER SLOTS");
  }
  return Done{};
}

Step AskSlots::unanswered() { return Request{.arguments = arguments_}; }

}  // namespace redismutex::protocol
