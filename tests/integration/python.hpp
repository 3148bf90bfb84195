#pragma once

#include <stdexcept>
#include <string>

#include "support/eventually.hpp"
#include "support/process.hpp"
#include "support/server.hpp"

namespace redismutex::testing {

/// A Python process beside the test, with redis-py connected to the test's server as `r`. It evaluates expressions, one
/// after the other, which reach it through a database of that server that nobody else uses.
class Python {
 public:
  /// `definitions` run first.
  Python(const Server& server, const std::string& definitions)
      : post_(server.socket_path(), {"SELECT", "15"}), process_(program(server, definitions)) {
    evaluate("None");
  }

  /// repr() of the value; of an exception, the name of its class.
  std::string evaluate(const std::string& expression) {
    post_.command({"RPUSH", "expressions " + id_, expression});
    Reply value;
    const bool ended = !eventually(std::chrono::seconds(30), [&] {
      value = post_.command({"LPOP", "values " + id_});
      return !value.is_nil() || !process_.running();
    });
    if (ended || value.is_nil()) throw std::runtime_error("Python says nothing: " + process_.stderr_text());
    return value.text;
  }

  /// A Python program with `r` as above, the modules redis, time and uuid, and the arguments in sys.argv[2:].
  static Program program(const std::string& socket_path, const std::string& source,
                         const std::vector<std::string>& arguments = {}) {
    const std::string beginning =
        "import redis, sys, time, uuid\n"
        "def connect(db=0): return redis.Redis(unix_socket_path=sys.argv[1], db=db)\n"
        "r = connect()\n";
    Program result{.arguments = {REDISMUTEX_PYTHON, "-c", beginning + source, socket_path}};
    result.arguments.insert(result.arguments.end(), arguments.begin(), arguments.end());
    return result;
  }

 private:
  Program program(const Server& server, const std::string& definitions) const {
    static constexpr auto loop = R"(
post = connect(db=15)
while True:
    expression = post.blpop('expressions ' + sys.argv[2])[1].decode()
    try:
        value = repr(eval(expression))
    except Exception as error:
        value = type(error).__name__
    post.rpush('values ' + sys.argv[2], value)
)";
    return program(server.socket_path(), definitions + loop, {id_});
  }

  const std::string id_ = std::to_string(reinterpret_cast<std::uintptr_t>(this));
  RawClient post_;
  ChildProcess process_;
};

}  // namespace redismutex::testing
