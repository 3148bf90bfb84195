#include "net/login.hpp"

#include <array>
#include <optional>
#include <redismutex/version.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/diagnosis.hpp"

namespace redismutex::net {
namespace {

using namespace std::string_view_literals;
using diagnosis::Question;

constexpr std::array hello{"HELLO"sv, "3"sv};
constexpr std::array info{"INFO"sv, "server"sv};
constexpr std::array library_name{"CLIENT"sv, "SETINFO"sv, "LIB-NAME"sv, "redismutex"sv};
constexpr std::array library_version{"CLIENT"sv, "SETINFO"sv, "LIB-VER"sv, version};

/// One login over one link.
class Login {
 public:
  Login(Link& link, const ConnectionOptions& options, Deadline deadline, const std::stop_token& stop)
      : link_{link}, options_{options}, deadline_{deadline}, stop_{stop}, kind_{kind_of(options)} {}

  std::variant<Greeting, Failure> run() {
    Introduced introduced = introduce(Credentials::within_hello);
    if (const auto* refused = std::get_if<Refused>(&introduced)) introduced = find_out(refused->text);
    if (auto* greeting = std::get_if<Greeting>(&introduced)) return std::move(*greeting);
    if (auto* failure = std::get_if<Failure>(&introduced)) return std::move(*failure);
    return diagnosis::of_refused_hello(std::get<Refused>(introduced).text, kind_, {});
  }

 private:
  static diagnosis::Login kind_of(const ConnectionOptions& options) {
    if (!options.password.empty()) return diagnosis::Login::with_password;
    return options.username.empty() ? diagnosis::Login::without_password : diagnosis::Login::with_user_only;
  }
  bool has_credentials() const { return kind_ != diagnosis::Login::without_password; }

  enum class Credentials { within_hello, before_hello };
  struct Refused {
    std::string text;  ///< what HELLO, or AUTH before it, was refused with
  };
  using Introduced = std::variant<Greeting, Failure, Refused>;

  /// A user that the server asks for no password (`nopass`) is let in with any: this sends an empty one.
  std::vector<std::string_view> auth() const {
    return {"AUTH"sv, options_.username.empty() ? "default"sv : std::string_view{options_.username},
            std::string_view{options_.password}};
  }

  std::optional<Failure> wait_for(Call& call) {
    switch (link_.wait(call, deadline_, stop_)) {
      case Link::Waited::done: return std::nullopt;
      case Link::Waited::broken: return link_.failure();
      case Link::Waited::timed_out: return Failure{Failure::Kind::timed_out, "no answer to the login"};
      case Link::Waited::stopped: return Failure{Failure::Kind::cancelled, "cancelled"};
    }
    return std::nullopt;
  }

  Introduced introduce(Credentials credentials) {
    std::vector<std::string_view> greet{hello.begin(), hello.end()};
    Call authenticated;
    const std::vector<std::string_view> authenticate = auth();
    const bool before = credentials == Credentials::before_hello;
    if (before) link_.send({{&authenticated, authenticate}});
    if (!before && has_credentials()) greet.insert(greet.end(), authenticate.begin(), authenticate.end());

    Call greeted;
    Call selected;
    const std::string db = std::to_string(options_.db);
    const std::array select{"SELECT"sv, std::string_view{db}};
    const bool selects = options_.db != 0;
    if (selects) {
      link_.send({{&greeted, greet}, {&selected, select}});
    } else {
      link_.send({{&greeted, greet}});
    }
    // All calls are on the wire, so all are waited for, or withdrawn, before this function's frame goes.
    const std::optional<Failure> no_authentication = before ? wait_for(authenticated) : std::nullopt;
    const std::optional<Failure> no_greeting = wait_for(greeted);
    const std::optional<Failure> no_selection = selects ? wait_for(selected) : std::nullopt;
    if (no_authentication) return *no_authentication;
    if (before && authenticated.reply().is_error()) {
      return Refused{std::string{authenticated.reply().text()}};
    }
    if (no_greeting)
      return link_.has_answered(1) ? *no_greeting : diagnosis::of_broken_login(*no_greeting, transport());
    if (greeted.reply().is_error()) return Refused{std::string{greeted.reply().text()}};
    if (greeted.reply().type() != ReplyType::map) return diagnosis::of_odd_answer();
    Greeting greeting = read_greeting(greeted.reply());
    if (const auto failure = diagnosis::of_greeting(greeting)) return *failure;
    if (no_selection) return *no_selection;
    if (selects && selected.reply().is_error()) {
      return diagnosis::of_refused_select(selected.reply().text(), options_.db);
    }
    return greeting;
  }

  diagnosis::Transport transport() const {
    return options_.tls && options_.unix_socket.empty() ? diagnosis::Transport::tls : diagnosis::Transport::plain;
  }

  /// HELLO was refused: asks what else has to be known, in one more round trip.
  Introduced find_out(const std::string& refusal) {
    switch (diagnosis::question_after(refusal, kind_)) {
      case Question::authentication: return introduce(Credentials::before_hello);
      case Question::greeting: {
        Call greeted;
        link_.send({{&greeted, hello}});
        if (wait_for(greeted) || greeted.reply().type() != ReplyType::map) break;
        if (const auto failure = diagnosis::of_greeting(read_greeting(greeted.reply()))) return *failure;
        break;
      }
      case Question::version: {
        Call asked;
        // Servers that are too old for HELLO know no users.
        std::vector<std::string_view> authenticate = auth();
        if (options_.username.empty()) authenticate.erase(authenticate.begin() + 1);
        if (has_credentials()) link_.send({{nullptr, authenticate}});
        link_.send({{&asked, info}});
        if (wait_for(asked) || !asked.reply().is_string()) break;
        return diagnosis::of_refused_hello(refusal, kind_, asked.reply().text());
      }
      case Question::none: break;
    }
    return Refused{refusal};
  }

  Link& link_;
  const ConnectionOptions& options_;
  const Deadline deadline_;
  const std::stop_token& stop_;
  const diagnosis::Login kind_;
};

}  // namespace

std::variant<Greeting, Failure> log_in(Link& link, const ConnectionOptions& options, Deadline deadline,
                                       const std::stop_token& stop) {
  return Login{link, options, deadline, stop}.run();
}

void tell_names(Link& link, const Greeting& greeting, std::string_view name) {
  const std::array named{"HELLO"sv, "3"sv, "SETNAME"sv, name};
  // An older server would note a refusal in its ACL log, because it takes SETINFO for a right that the user lacks.
  const bool knows_libraries = greeting.server == "valkey" || greeting.version >= Greeting::Version{7, 2, 0};
  if (knows_libraries) {
    link.send({{nullptr, named}, {nullptr, library_name}, {nullptr, library_version}});
  } else {
    link.send({{nullptr, named}});
  }
}

}  // namespace redismutex::net
