#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "lock_arguments.hpp"

namespace redismutex::cli {

/// The options of `run` and `hold` that say which lock is wanted, and how; and KEY.
class LockOptions {
 public:
  /// What the help says where the two differ.
  struct Words {
    std::string other_urls;  ///< where the other places of the URL are told
    std::string quiet;       ///< -q
    std::string label;       ///< --label
  };

  /// Declares them on `app`. What is said goes to `arguments`; both are used as long as this lives.
  LockOptions(CLI::App& app, LockArguments& arguments, const Words& words);

  /// Once `app` has parsed its words: finds the server. Throws CLI::ParseError and NoUrl.
  void finish();

 private:
  static void check(const std::string& url, const NamedUrls& all);
  void declare_waiting(CLI::App& app);
  void declare_sayings(CLI::App& app, const Words& words);

  LockArguments& arguments_;
  std::function<NamedUrls()> find_url_;
};

}  // namespace redismutex::cli
