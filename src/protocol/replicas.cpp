#include "protocol/replicas.hpp"

#include <algorithm>

#include "protocol/info.hpp"
#include "protocol/number.hpp"

namespace redismutex::protocol {
namespace {

constexpr std::array<std::string_view, 2> ask_server{"INFO", "replication"};
constexpr std::array<std::string_view, 2> ask_cluster{"CLUSTER", "NODES"};

/// Takes what is in front of `end` off the text, and `end` itself.
std::string_view take_up_to(std::string_view& text, char end) {
  const std::string_view taken = text.substr(0, text.find(end));
  text.remove_prefix(std::min(text.size(), taken.size() + 1));
  return taken;
}

struct Node {
  std::string_view id, flags, master;
};

Node read_node(std::string_view line) {
  Node node;
  node.id = take_up_to(line, ' ');
  take_up_to(line, ' ');  // its address
  node.flags = take_up_to(line, ' ');
  node.master = take_up_to(line, ' ');
  return node;
}

}  // namespace

std::optional<std::int64_t> replicas_in(std::string_view cluster_nodes) {
  std::string_view asked;
  for (std::string_view rest = cluster_nodes; !rest.empty();) {
    const Node node = read_node(take_up_to(rest, '\n'));
    if (node.flags.starts_with("myself")) asked = node.id;
  }
  if (asked.empty()) return std::nullopt;
  std::int64_t count = 0;
  for (std::string_view rest = cluster_nodes; !rest.empty();) {
    if (read_node(take_up_to(rest, '\n')).master == asked) ++count;
  }
  return count;
}

Arguments CountReplicas::arguments() const noexcept { return from_ == From::cluster ? ask_cluster : ask_server; }

Step CountReplicas::start(Instant /*now*/) { return Request{.arguments = arguments()}; }

Step CountReplicas::unanswered() { return Request{.arguments = arguments()}; }

Step CountReplicas::answered(const Answer& answer) {
  std::optional<std::int64_t> count;
  if (answer.type == Answer::Type::text) {
    if (from_ == From::cluster) {
      count = replicas_in(answer.text);
    } else {
      count = number_in<std::uint32_t>(info_value(answer.text, "connected_slaves"));
    }
  }
  if (count) {
    outcome_ = *count;
  } else {
    outcome_ = refusal(answer, from_ == From::cluster ? "CLUSTER NODES" : "INFO");
  }
  return Done{};
}

}  // namespace redismutex::protocol
