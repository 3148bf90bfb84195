#pragma once

#include <algorithm>
#include <chrono>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "histories/checker.hpp"

namespace redismutex::histories {

/// What should not have happened.
class Findings {
 public:
  template <class... Words>
  void add(std::chrono::nanoseconds time, const Words&... words) {
    std::ostringstream text;
    std::string_view blank;
    ((text << std::exchange(blank, " ") << shown(words)), ...);
    found_.push_back({time, text.str()});
  }

  /// In order of time.
  std::vector<Violation> take() {
    std::stable_sort(found_.begin(), found_.end(),
                     [](const Violation& a, const Violation& b) { return a.time < b.time; });
    return std::exchange(found_, {});
  }

 private:
  template <class Word>
  static const Word& shown(const Word& word) {
    return word;
  }
  static std::string shown(std::chrono::nanoseconds time) {
    std::ostringstream text;
    text << std::chrono::duration<double, std::milli>{time}.count() << " ms";
    return text.str();
  }

  std::vector<Violation> found_;
};

}  // namespace redismutex::histories
