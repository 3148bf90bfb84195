#include "net/login.hpp"

#include <array>
#include <redismutex/version.hpp>
#include <utility>
#include <vector>

namespace redismutex::net {
namespace {

using namespace std::string_view_literals;
using diagnosis::Question;

constexpr std::array hello{"HELLO"sv, "3"sv};
constexpr std::array info{"INFO"sv, "server"sv};
constexpr std::array library_name{"CLIENT"sv, "SETINFO"sv, "LIB-NAME"sv, "redismutex"sv};
constexpr std::array library_version{"CLIENT"sv, "SETINFO"sv, "LIB-VER"sv, std::string_view{REDISMUTEX_VERSION}};

diagnosis::Login kind_of(const Login::Settings& settings) {
  if (!settings.password.empty()) return diagnosis::Login::with_password;
  return settings.username.empty() ? diagnosis::Login::without_password : diagnosis::Login::with_user_only;
}

bool in_flight(const Call& call) { return call.state() == Call::State::in_flight; }

}  // namespace

Login::Login(Wire& wire, Settings settings) : wire_{wire}, settings_{std::move(settings)}, kind_{kind_of(settings_)} {}

std::optional<std::variant<Greeting, Failure>> Login::step(Deadline overdue_at) {
  if (phase_ == Phase::not_begun) introduce(Phase::introduction, overdue_at);
  if (!is_answered()) return std::nullopt;
  if (phase_ != Phase::introduction && phase_ != Phase::introduction_after_auth) return found_out();
  Introduced outcome = introduced({});
  if (auto* greeting = std::get_if<Greeting>(&outcome)) return std::move(*greeting);
  if (auto* failure = std::get_if<Failure>(&outcome)) return std::move(*failure);
  const std::string& refusal = std::get<Refused>(outcome).text;
  if (phase_ == Phase::introduction && ask(refusal, overdue_at)) return std::nullopt;
  return diagnosis::of_refused_hello(refusal, kind_, {});
}

Failure Login::cut_short(const Failure& why) const {
  if (phase_ == Phase::not_begun) return why;
  if (phase_ != Phase::introduction && phase_ != Phase::introduction_after_auth) return found_out();
  Introduced outcome = introduced(why);
  if (auto* failure = std::get_if<Failure>(&outcome)) return std::move(*failure);
  if (auto* refused = std::get_if<Refused>(&outcome)) return diagnosis::of_refused_hello(refused->text, kind_, {});
  return why;
}

/// A user that the server asks for no password (`nopass`) is let in with any: this sends an empty one.
std::vector<std::string_view> Login::auth() const {
  return {"AUTH"sv, settings_.username.empty() ? "default"sv : std::string_view{settings_.username},
          std::string_view{settings_.password}};
}

void Login::introduce(Phase how, Deadline overdue_at) {
  phase_ = how;
  std::vector<std::string_view> greet{hello.begin(), hello.end()};
  const std::vector<std::string_view> authenticate = auth();
  if (how == Phase::introduction_after_auth) {
    wire_.submit(&authenticated_, authenticate, overdue_at);
  } else if (has_credentials()) {
    greet.insert(greet.end(), authenticate.begin(), authenticate.end());
  }
  wire_.submit(&greeted_, greet, overdue_at);
  if (!selects()) return;
  const std::string db = std::to_string(settings_.db);
  wire_.submit(&selected_, std::array{"SELECT"sv, std::string_view{db}}, overdue_at);
}

/// HELLO was refused: asks what else has to be known. False: nothing.
bool Login::ask(const std::string& refusal, Deadline overdue_at) {
  refusal_ = refusal;
  switch (diagnosis::question_after(refusal_, kind_)) {
    case Question::authentication: introduce(Phase::introduction_after_auth, overdue_at); return true;
    case Question::greeting:
      phase_ = Phase::question_of_greeting;
      wire_.submit(&asked_, hello, overdue_at);
      return true;
    case Question::version: {
      phase_ = Phase::question_of_version;
      // Servers that are too old for HELLO know no users.
      std::vector<std::string_view> authenticate = auth();
      if (settings_.username.empty()) authenticate.erase(authenticate.begin() + 1);
      if (has_credentials()) wire_.submit(nullptr, authenticate, overdue_at);
      wire_.submit(&asked_, info, overdue_at);
      return true;
    }
    case Question::none: break;
  }
  return false;
}

bool Login::is_answered() const {
  return !in_flight(authenticated_) && !in_flight(greeted_) && !in_flight(selected_) && !in_flight(asked_);
}

/// What the answers to an introduction mean; where one is missing, `otherwise` is the reason.
Login::Introduced Login::introduced(const Failure& otherwise) const {
  if (phase_ == Phase::introduction_after_auth) {
    if (!authenticated_.answered()) return otherwise;
    if (authenticated_.reply().is_error()) return Refused{std::string{authenticated_.reply().text()}};
  }
  if (!greeted_.answered()) {
    return wire_.answered() > 0 ? otherwise : diagnosis::of_broken_login(otherwise, settings_.transport);
  }
  if (greeted_.reply().is_error()) return Refused{std::string{greeted_.reply().text()}};
  if (greeted_.reply().type() != ReplyType::map) return diagnosis::of_odd_answer();
  Greeting greeting = read_greeting(greeted_.reply());
  if (auto failure = diagnosis::of_greeting(greeting, expected())) return std::move(*failure);
  if (selects() && !selected_.answered()) return otherwise;
  if (selects() && selected_.reply().is_error()) {
    return diagnosis::of_refused_select(selected_.reply().text(), settings_.db);
  }
  return greeting;
}

/// Why HELLO was refused, after one more question, which may be without an answer.
Failure Login::found_out() const {
  std::string_view server;
  if (phase_ == Phase::question_of_version && asked_.answered() && asked_.reply().is_string()) {
    server = asked_.reply().text();
  }
  if (phase_ == Phase::question_of_greeting && asked_.answered() && asked_.reply().type() == ReplyType::map) {
    if (auto failure = diagnosis::of_greeting(read_greeting(asked_.reply()), expected())) return std::move(*failure);
  }
  return diagnosis::of_refused_hello(refusal_, kind_, server);
}

void tell_names(Wire& wire, const Greeting& greeting, std::string_view name, Deadline overdue_at) {
  wire.submit(nullptr, std::array{"HELLO"sv, "3"sv, "SETNAME"sv, name}, overdue_at);
  // An older server would note a refusal in its ACL log, because it takes SETINFO for a right that the user lacks.
  const bool knows_libraries = greeting.server == "valkey" || greeting.version >= Greeting::Version{7, 2, 0};
  if (!knows_libraries) return;
  wire.submit(nullptr, library_name, overdue_at);
  wire.submit(nullptr, library_version, overdue_at);
}

}  // namespace redismutex::net
