#include "net/login.hpp"

#include <array>
#include <optional>
#include <redismutex/version.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace redismutex::net {
namespace {

using namespace std::string_view_literals;

std::string_view text_of(const redisReply& reply) { return {reply.str, reply.len}; }

/// What the answer to HELLO says about us, or the server. The server's own text may repeat the password: only the first
/// word of it is shown.
std::optional<Failure> judge_hello(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_MAP) return std::nullopt;
  if (reply.type != REDIS_REPLY_ERROR) return Failure{Failure::Kind::unusable, "not a Redis or Valkey server"};
  const std::string_view text = text_of(reply);
  if (text.starts_with("NOAUTH")) return Failure{Failure::Kind::refused_login, "the server wants a password"};
  if (text.starts_with("WRONGPASS") || text.starts_with("NOPERM")) {
    return Failure{Failure::Kind::refused_login, "login refused: " + std::string{text.substr(0, text.find(' '))}};
  }
  if (text.starts_with("NOPROTO") || text.starts_with("ERR unknown command")) {
    return Failure{Failure::Kind::unusable,
                   "the server is too old, Redis 6.0 or Valkey is needed: it does not know HELLO 3"};
  }
  if (text.starts_with("ERR max number of clients")) return Failure{Failure::Kind::unreachable, std::string{text}};
  return Failure{Failure::Kind::unusable,
                 "the server refused HELLO with " + std::string{text.substr(0, text.find(' '))}};
}

}  // namespace

std::variant<Greeting, Failure> log_in(Link& link, const ConnectionOptions& options, Deadline deadline,
                                       const std::stop_token& stop) {
  std::vector<std::string_view> hello{"HELLO"sv, "3"sv};
  if (!options.password.empty()) {
    const std::string_view user = options.username.empty() ? "default"sv : std::string_view{options.username};
    hello.insert(hello.end(), {"AUTH"sv, user, std::string_view{options.password}});
  }
  if (!options.client_name.empty()) hello.insert(hello.end(), {"SETNAME"sv, std::string_view{options.client_name}});
  // For the administrator's CLIENT LIST; servers before 7.2 do not know it, so the answers do not matter.
  const std::array library_name{"CLIENT"sv, "SETINFO"sv, "LIB-NAME"sv, "redismutex"sv};
  const std::array library_version{"CLIENT"sv, "SETINFO"sv, "LIB-VER"sv, version};
  const std::string db = std::to_string(options.db);
  const std::array select{"SELECT"sv, std::string_view{db}};

  Call greeted;
  Call selected;
  const bool selects = options.db != 0;
  if (selects) {
    link.send({{&greeted, hello}, {nullptr, library_name}, {nullptr, library_version}, {&selected, select}});
  } else {
    link.send({{&greeted, hello}, {nullptr, library_name}, {nullptr, library_version}});
  }

  const auto outcome = [&](Call& call) -> std::optional<Failure> {
    switch (link.wait(call, deadline, stop)) {
      case Link::Waited::done: return std::nullopt;
      case Link::Waited::broken: return link.failure();
      case Link::Waited::timed_out: return Failure{Failure::Kind::timed_out, "no answer to the login"};
      case Link::Waited::stopped: return Failure{Failure::Kind::cancelled, "cancelled"};
    }
    return std::nullopt;
  };
  // Both calls are on the wire, so both are waited for, or withdrawn, before this function's frame goes.
  std::optional<Failure> failure = outcome(greeted);
  std::optional<Failure> select_failure = selects ? outcome(selected) : std::nullopt;
  if (!failure) failure = judge_hello(greeted.reply());
  if (failure) return *std::move(failure);
  if (selects && !select_failure && selected.reply().type == REDIS_REPLY_ERROR) {
    return Failure{Failure::Kind::unusable,
                   "cannot select database " + db + ": " + std::string{text_of(selected.reply())}};
  }
  if (select_failure) return *std::move(select_failure);
  return read_greeting(greeted.reply());
}

}  // namespace redismutex::net
