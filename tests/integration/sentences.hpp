#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace redismutex::testing {

/// Keeps what a log is told. Thread-safe.
class Sentences {
 public:
  void say(std::string_view sentence) {
    const std::lock_guard lock{mutex_};
    all_.emplace_back(sentence);
  }

  void forget() {
    const std::lock_guard lock{mutex_};
    all_.clear();
  }

  std::vector<std::string> all() const {
    const std::lock_guard lock{mutex_};
    return all_;
  }

  /// Those that say `text`.
  std::vector<std::string> about(std::string_view text) const {
    std::vector<std::string> found = all();
    std::erase_if(found, [text](const std::string& sentence) { return sentence.find(text) == std::string::npos; });
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

/// A ConnectionOptions::log that owns what it writes to, because it may still be called when the Connection is gone.
inline std::function<void(std::string_view)> written_to(std::shared_ptr<Sentences> sentences) {
  return [sentences = std::move(sentences)](std::string_view sentence) { sentences->say(sentence); };
}

}  // namespace redismutex::testing
