#pragma once

#include <optional>
#include <redismutex/connection_options.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "net/call.hpp"
#include "net/diagnosis.hpp"
#include "net/failure.hpp"
#include "net/greeting.hpp"
#include "net/poll.hpp"
#include "net/wire.hpp"

namespace redismutex::net {

/// Introduces us to a server: protocol version 3, credentials, database; all in one round trip, or two where the first was refused
/// and it takes another question to know why.
///
/// Pure: says what it has to say to a Wire. Whoever owns both moves the bytes.
class Login {
 public:
  struct Settings {
    std::string username, password;
    int db = 0;
    diagnosis::Transport transport = diagnosis::Transport::plain;
    bool to_sentinel = false;
  };

  /// `wire` must outlive the steps.
  Login(Wire& wire, Settings settings);

  /// To be called first, and again when answers have come. None: there is more to be sent, or to come, until `overdue_at`.
  std::optional<std::variant<Greeting, Failure>> step(Deadline overdue_at);

  /// Nothing more will come, for this reason: what that means, after all that has come.
  Failure cut_short(const Failure& why) const;

 private:
  enum class Phase {
    not_begun,
    introduction,  // AUTH within HELLO
    introduction_after_auth,
    question_of_greeting,
    question_of_version,
  };
  struct Refused {
    std::string text;  ///< what HELLO, or AUTH before it, was refused with
  };
  using Introduced = std::variant<Greeting, Failure, Refused>;

  bool has_credentials() const { return kind_ != diagnosis::Login::without_password; }
  diagnosis::Expected expected() const {
    return settings_.to_sentinel ? diagnosis::Expected::sentinel : diagnosis::Expected::server;
  }
  bool selects() const { return settings_.db != 0; }
  std::vector<std::string_view> auth() const;
  void introduce(Phase how, Deadline overdue_at);
  bool ask(const std::string& refusal, Deadline overdue_at);
  bool is_answered() const;
  Introduced introduced(const Failure& otherwise) const;
  Failure found_out() const;

  Wire& wire_;
  const Settings settings_;
  const diagnosis::Login kind_;
  Phase phase_ = Phase::not_begun;
  std::string refusal_;  // of the introduction, once there is a question
  Call authenticated_, greeted_, selected_, asked_;
};

/// Tells the server the name of the connection, and of the library, for the administrator's CLIENT LIST. Nobody has to wait for
/// that, and it needs no right but those for HELLO and, where the server knows libraries, CLIENT SETINFO.
void tell_names(Wire& wire, const Greeting& greeting, std::string_view name, Deadline overdue_at);

}  // namespace redismutex::net
