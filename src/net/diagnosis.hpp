#pragma once

#include <optional>
#include <string_view>

#include "net/failure.hpp"
#include "net/greeting.hpp"

/// Why a login failed, as a sentence that says what to do about it. Nothing here asks the server anything: what it said
/// comes in as text. A reason that goes by is Failure::Kind::turned_away, one that stays is `unusable` or
/// `refused_login`. Servers and proxies repeat commands in their errors, the password included: their own words are
/// shown only if no credentials were sent.
namespace redismutex::net::diagnosis {

enum class Login {
  without_password,  ///< no credentials were sent
  with_user_only,    ///< a user with an empty password: perhaps it was the password that stood in the user's place
  with_password,
};

/// What is to be asked before a refusal of HELLO can be judged.
enum class Question {
  none,
  version,         ///< INFO server: is it an old server, or one whose HELLO has another name?
  greeting,        ///< HELLO without credentials: is it a sentinel, which has other users?
  authentication,  ///< AUTH before HELLO: Redis 6.0 asks whether the user before the login may say HELLO
};
Question question_after(std::string_view hello_refusal, Login login);

/// HELLO was refused. `info` is what INFO said of the server, empty if that was not asked, or refused as well.
Failure of_refused_hello(std::string_view refusal, Login login, std::string_view info);

/// HELLO was answered: none if it is a server to work with, or a sentinel, whichever was looked for.
enum class Expected { server, sentinel };
std::optional<Failure> of_greeting(const Greeting& greeting, Expected expected);

/// HELLO was answered with something that is no greeting.
Failure of_odd_answer();

/// SELECT of this database was refused.
Failure of_refused_select(std::string_view refusal, int db);

enum class Transport { plain, tls };

/// The connection broke before anything was answered.
Failure of_broken_login(const Failure& failure, Transport transport);

}  // namespace redismutex::net::diagnosis
