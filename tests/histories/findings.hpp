#pragma once

#include <algorithm>
#include <chrono>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace redismutex::histories {

/// What should not have happened.
class Findings {
 public:
  template <class... Words>
  void add(std::chrono::nanoseconds time, const Words&... words) {
    std::ostringstream text;
    text << std::chrono::duration<double>{time}.count() << " s:";
    ((text << ' ' << shown(words)), ...);
    found_.emplace_back(time, text.str());
  }

  /// In order of time.
  std::vector<std::string> take() {
    std::stable_sort(found_.begin(), found_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> texts;
    for (auto& [time, text] : found_) texts.push_back(std::move(text));
    found_.clear();
    return texts;
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

  std::vector<std::pair<std::chrono::nanoseconds, std::string>> found_;
};

}  // namespace redismutex::histories
